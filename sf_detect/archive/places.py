"""Where the videos of an archive are now, which may not be where they were."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath, PureWindowsPath

from sf_detect.archive.schema import VideoFacts
from sf_detect.errors import SourceOpenError


def locate(facts: VideoFacts, videos_root: Path | None = None) -> str:
    """The file or address of a video.

    Args:
        facts: Of the video, from the archive.
        videos_root: A folder to look in: for the path as it was, first with most of its folders, last without any.

    Raises:
        SourceOpenError: It is not there; the message says where it was, and what to do.
    """
    source = facts.source
    if "://" in source and not source.startswith("file:"):
        return source
    if videos_root is None:
        if os.path.exists(source):
            return source
        raise SourceOpenError(
            f"{facts.video}: the video was {source} when it was annotated, and is not there now. Give the folder that "
            "holds the videos now with --videos-root."
        )
    for name in _candidates(facts):
        if (videos_root / name).exists():
            return str(videos_root / name)
    raise SourceOpenError(
        f"{facts.video}: neither {facts.video} nor {_parts(source)[-1]} is below {videos_root}; the video was {source} "
        "when it was annotated. Give the folder that holds the videos with --videos-root."
    )


def _candidates(facts: VideoFacts) -> list[str]:
    """Paths below the root at which the video may be, the likeliest first."""
    parts = _parts(facts.source)
    tails = ["/".join(parts[i:]) for i in range(len(parts))]
    inside = [name for name in (facts.video, *tails) if ".." not in name.split("/") and not name.startswith("/")]
    return list(dict.fromkeys(name for name in inside if name))


def _parts(path: str) -> list[str]:
    """Folders and name, of a path of any system, without its root."""
    pure = PureWindowsPath(path) if "\\" in path or path[1:2] == ":" else PurePosixPath(path)
    return [part for part in pure.parts if part != pure.anchor] or [path]
