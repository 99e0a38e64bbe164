"""From a PACS to the cascade and back: studies come in, are analysed one by one, and their results go out."""
