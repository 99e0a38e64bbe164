"""What is written: tables.json, tidy CSV tables, printed tables as LaTeX and one HTML page."""
