"""The command line `livercascade`."""
