"""Shapes and types of every public signature are checked while tests run."""

from jaxtyping import install_import_hook

install_import_hook("livercascade", "beartype.beartype")
