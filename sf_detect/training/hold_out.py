"""Videos of the training side on which the best epoch is chosen, for datasets that publish no validation side.

An epoch that is chosen on the test side makes the test figure the best of many tries. Videos that were cut out of one
recording are held out together: parts of a recording on both sides would make every epoch look good.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from dataclasses import replace

from sf_detect.data.samples import ActionDataset
from sf_detect.errors import ConfigError

_CLIP_OF_GROUP = re.compile(r"(v_\w+_g\d+)_c\d+")  # UCF101: clips of one recording are a group


def held_out_videos(dataset: ActionDataset, share: float) -> frozenset[str]:
    """Videos of about `share` of the samples of every class, whole recordings each; the same ones in every run.

    Args:
        dataset: The training side.
        share: In (0, 1).

    Raises:
        ConfigError: Another share, or there are not two recordings of any class.
    """
    if not 0 < share < 1:
        raise ConfigError(f"held_out is a share of the training videos between 0 and 1, got {share}")
    counts: dict[str, int] = {}
    classes: dict[str, int] = {}
    for sample in dataset.samples:
        source = _source(dataset, sample.video_id)
        counts[source] = counts.get(source, 0) + 1
        classes.setdefault(source, min((label for labels in sample.labels for label in labels), default=-1))
    chosen: set[str] = set()
    for label in sorted(set(classes.values())):
        sources = sorted((source for source in counts if classes[source] == label), key=_place)
        wanted, taken = share * sum(counts[source] for source in sources), 0
        for source in sources[:-1]:  # one is left to learn from
            if taken < wanted:
                chosen.add(source)
                taken += counts[source]
    videos = {s.video_id for s in dataset.samples if _source(dataset, s.video_id) in chosen}
    if not videos:
        raise ConfigError(
            f"held_out={share}: {dataset.name} has no class with two recordings, so none can be held out. Set "
            "held_out=0 and name other validation data, such as validation.split=val"
        )
    return frozenset(videos)


def of_videos(dataset: ActionDataset, videos: Collection[str], keep: bool) -> ActionDataset:
    """The samples of the videos, or, with `keep` False, all others."""
    samples = [sample for sample in dataset.samples if (sample.video_id in videos) == keep]
    name = f"{dataset.name}, {'held out' if keep else 'without those held out'}"
    return replace(dataset, samples=samples, name=name)


def _source(dataset: ActionDataset, video: str) -> str:
    """The recording that a video was cut from."""
    if video in dataset.sources:
        return dataset.sources[video]
    match = _CLIP_OF_GROUP.search(video)
    return video if match is None else match[1]


def _place(source: str) -> bytes:
    """A place in an order that has nothing to do with names, the same everywhere."""
    return hashlib.sha256(source.encode("utf-8", "surrogateescape")).digest()
