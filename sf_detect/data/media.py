"""Where the videos of a dataset lie, and what to say when they don't."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from sf_detect.data.samples import ActionDataset, ClipSample
from sf_detect.errors import DataError
from sf_detect.labels import LabelMap
from sf_detect.video.images import IMAGE_SUFFIXES

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".mkv", ".webm", ".avi", ".mov", ".m4v", ".mpg", ".mpeg", ".ts", ".flv", ".wmv", ".3gp"}
)
_SHOWN = 3


class Media:
    """Videos and folders of frame images below some folders, found by name.

    A name is the file's without its suffix, or the folder's; names with folders ("Basketball/v_Basketball_g01_c01")
    are found by their last part. Earlier folders win, and a folder of frames wins over a video beside it.

    Args:
        folders: Searched through all levels; those that don't exist are passed over.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = tuple(folders)
        self._paths: dict[str, Path] = {}
        for folder in self.folders:
            self._search(folder)

    def _search(self, folder: Path) -> None:
        found: dict[str, Path] = {}
        # Not Path.rglob: a folder of frames has tens of thousands of entries, of which one is looked at.
        pending = [folder] if folder.is_dir() else []
        while pending:
            current = pending.pop()
            with os.scandir(current) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    suffix = os.path.splitext(entry.name)[1].lower()
                    if suffix in IMAGE_SUFFIXES:
                        found[current.name] = current
                        break
                    if suffix in VIDEO_SUFFIXES:
                        found.setdefault(os.path.splitext(entry.name)[0], Path(entry.path))
                    elif entry.is_dir():
                        pending.append(Path(entry.path))
        for name, path in found.items():
            self._paths.setdefault(name, path)

    def find(self, name: str) -> Path | None:
        """The video called `name`, or None."""
        return self._paths.get(name) or self._paths.get(name.rsplit("/", 1)[-1])

    def names(self) -> list[str]:
        """All names that were found, sorted."""
        return sorted(self._paths)


def assemble(
    name: str,
    task: str,
    samples: Sequence[ClipSample],
    labels: LabelMap,
    multi_label: bool,
    missing: Sequence[str],
    annotation: Path,
    searched: Sequence[Path],
) -> ActionDataset:
    """The dataset, where at least one of its videos is there.

    Args:
        name, task, samples, multi_label: As in `ActionDataset`.
        labels: The classes.
        missing: Videos that were not found, in any order, repeats allowed.
        annotation: For the messages.
        searched: Folders that were searched for videos.

    Raises:
        DataError: No sample, as no row is there or all videos are missing.
    """
    absent = tuple(sorted(set(missing)))
    if not samples:
        where = ", ".join(map(str, searched))
        if absent:
            shown = ", ".join(absent[:_SHOWN]) + (", ..." if len(absent) > _SHOWN else "")
            raise DataError(
                annotation,
                None,
                f"none of its {len(absent)} videos ({shown}) was found below {where}; expected video files or folders "
                "of frame images with these names, so fetch them, or name their folder with the option 'media'",
            )
        raise DataError(annotation, None, "holds no sample for these options; expected at least one annotated row")
    return ActionDataset(name, task, samples, labels.names, labels.ids, multi_label, absent)
