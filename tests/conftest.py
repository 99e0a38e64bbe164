"""Shapes and types of every public signature are checked while tests run; one browser serves all tests of pages."""

from collections.abc import Iterator
from typing import Any

import pytest
from jaxtyping import install_import_hook

install_import_hook("livercascade", "beartype.beartype")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium; tests that ask for it are skipped where there is none."""
    from labeler_page import started_browser

    with started_browser() as started:
        yield started
