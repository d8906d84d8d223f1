"""Names of videos in two files that may write them differently: with or without folders, with or without the ending."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from sf_detect.errors import DataError

_SHOWN = 3


def matched_folders(path: Path, found: Iterable[str], truth: Collection[str]) -> dict[str, str]:
    """The name in the ground truth of every video of the detections; its own where the ground truth has no such video.

    Equal names match. Else one may have folders that the other lacks (`v_Basketball_g01_c01` and
    `Basketball/v_Basketball_g01_c01`), and where no name is equal the folders may differ.

    Args:
        path: The detections, named in messages.
        found: Their videos.
        truth: Videos of the ground truth.

    Raises:
        DataError: A name could be several videos, several names could be one video, or no video is in the ground truth.
    """
    found = list(dict.fromkeys(found))
    same = set(found) & set(truth)
    by_last: dict[str, list[str]] = {}
    for name in truth:
        by_last.setdefault(_last(name), []).append(name)
    names: dict[str, str] = {name: name for name in same}
    owners: dict[str, str] = dict(names)
    for name in found:
        if name in same:
            continue
        alike = by_last.get(_last(name), [])
        candidates = [one for one in alike if _ends_with(one, name) or _ends_with(name, one)]
        candidates = candidates or ([] if same else alike)
        if len(candidates) > 1:
            shown = ", ".join(map(repr, sorted(candidates)[:_SHOWN]))
            problem = f"video {name!r} could be any of {len(candidates)} in the ground truth: {shown}"
            raise DataError(path, None, f"{problem}; name videos with their folders, as the ground truth does")
        names[name] = candidates[0] if candidates else name
        if candidates and owners.setdefault(candidates[0], name) != name:
            both = f"videos {owners[candidates[0]]!r} and {name!r} could both be {candidates[0]!r} of the ground truth"
            raise DataError(path, None, f"{both}; give every video the name that it has there")
    if found and not owners:
        raise DataError(
            path,
            None,
            f"none of its {len(found)} videos (such as {found[0]!r}) is in the ground truth (such as {min(truth)!r}); "
            "name them alike",
        )
    return names


def matched_files(path: str | Path, found: Iterable[str], truth: Collection[str]) -> dict[str, str]:
    """The name in the ground truth of every video that may be written as a path: `videos/ID.mp4` for `ID`.

    Args:
        path: The scores, named in messages.
        found: Their videos.
        truth: Videos of the ground truth, without folder.

    Raises:
        DataError: Two names stand for one video.
    """
    names: dict[str, str] = {}
    owners: dict[str, str] = {}
    for name in dict.fromkeys(found):
        last = _last(name)
        forms = (name, last, _stem(last))
        names[name] = next((form for form in forms if form in truth), forms[-1])
        first = owners.setdefault(names[name], name)
        if first != name:
            problem = f"{first!r} and {name!r} are both the video {names[name]!r}"
            raise DataError(
                path, None, f"{problem}; videos are told apart by their file names without folder and ending"
            )
    return names


def file_stem(path: str) -> str:
    """A file's name without folder and ending; both kinds of slashes part folders."""
    return _stem(_last(path))


def _last(name: str) -> str:
    return name.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]


def _stem(name: str) -> str:
    stem, dot, _ = name.rpartition(".")
    return stem if dot and stem else name


def _ends_with(long: str, short: str) -> bool:
    return long.replace("\\", "/").endswith("/" + short.replace("\\", "/"))
