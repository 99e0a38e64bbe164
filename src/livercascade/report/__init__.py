"""What a reader sees: result records, key pictures and the HTML report."""
