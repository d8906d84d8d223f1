"""Video in and out: sources, the clip buffer and the writer. Submodules are imported on first use of a name."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sf_detect.video.camera import CameraSource
    from sf_detect.video.images import ImageFolderSource
    from sf_detect.video.opening import open_source
    from sf_detect.video.sources import FileSource, StreamSource
    from sf_detect.video.writer import VideoWriter

_HOMES = {
    "CameraSource": "camera",
    "FileSource": "sources",
    "ImageFolderSource": "images",
    "StreamSource": "sources",
    "VideoWriter": "writer",
    "open_source": "opening",
}

__all__ = ["CameraSource", "FileSource", "ImageFolderSource", "StreamSource", "VideoWriter", "open_source"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
