"""Fixtures for all tests: nothing here touches the user's cache or the network."""

import os
from pathlib import Path

import pytest

# Read when torch is imported, here and by what tests start. The networks of tests are small: a second thread does not
# make them faster, and on a busy machine the two wait for each other at every layer.
os.environ.setdefault("OMP_NUM_THREADS", "1")

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture
def shared() -> Path:
    """The folder of reference data beside the checkout; the test is skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("needs the reference data beside the checkout")
    return SHARED
