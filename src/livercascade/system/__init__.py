"""What every part asks of the machine: files that appear whole, hashes, processes side by side, progress, memory."""
