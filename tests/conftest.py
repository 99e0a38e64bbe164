"""Public signatures are checked while tests run, no example has a deadline, one browser serves all tests of pages."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from jaxtyping import install_import_hook

install_import_hook("livercascade", "beartype.beartype")

# How long an example takes to draw and to try depends on the machine and on what else it does; slow is no fault.
settings.register_profile("livercascade", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("livercascade")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium; tests that ask for it are skipped where there is none."""
    from labeler_page import started_browser

    with started_browser() as started:
        yield started
