"""The record of one case: a contract between the cascade and everything that reads a result."""
