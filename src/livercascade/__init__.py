"""livercascade: finds, types and filters liver lesions in CT."""

__version__ = "0.1.0"
