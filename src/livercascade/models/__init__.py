"""Bundled weights with their model cards."""
