"""Real-time spatiotemporal action detection: who does what, where and when in video.

    import sf_detect

    summary = sf_detect.annotate_video("video.mp4", out_video="annotated.mp4", out_jsonl="actions.jsonl")

Names are imported on first use, so that `import sf_detect` does not wait for torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from sf_detect.version import __version__

if TYPE_CHECKING:
    from sf_detect.annotator import Annotator, annotate_video
    from sf_detect.build import build_detector, build_pipeline, build_predictor, load_model, open_source
    from sf_detect.build_live import open_live
    from sf_detect.config import RunConfig
    from sf_detect.config_files import load_config
    from sf_detect.errors import SFDetectError
    from sf_detect.labels import label_set
    from sf_detect.live import LiveSession
    from sf_detect.records import read_json_lines
    from sf_detect.rendering import Renderer, RenderStyle
    from sf_detect.structures import (
        ActionDetections,
        Clip,
        ClipSpec,
        Detections,
        Frame,
        FrameResult,
        Keypoints,
        LiveResult,
        VideoInfo,
    )

_HOME = {
    "Annotator": "annotator",
    "annotate_video": "annotator",
    "build_detector": "build",
    "build_pipeline": "build",
    "build_predictor": "build",
    "load_model": "build",
    "open_source": "build",
    "open_live": "build_live",
    "RunConfig": "config",
    "load_config": "config_files",
    "SFDetectError": "errors",
    "label_set": "labels",
    "LiveSession": "live",
    "Renderer": "rendering",
    "RenderStyle": "rendering",
    "read_json_lines": "records",
    "ActionDetections": "structures",
    "Clip": "structures",
    "ClipSpec": "structures",
    "Detections": "structures",
    "Frame": "structures",
    "FrameResult": "structures",
    "Keypoints": "structures",
    "LiveResult": "structures",
    "VideoInfo": "structures",
}

__all__ = [  # noqa: RUF022  grouped by use
    "__version__",
    "annotate_video",
    "Annotator",
    "open_live",
    "LiveSession",
    "RunConfig",
    "load_config",
    "open_source",
    "load_model",
    "build_pipeline",
    "build_predictor",
    "build_detector",
    "Renderer",
    "RenderStyle",
    "read_json_lines",
    "label_set",
    "SFDetectError",
    "VideoInfo",
    "Frame",
    "Detections",
    "Keypoints",
    "ClipSpec",
    "Clip",
    "ActionDetections",
    "FrameResult",
    "LiveResult",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'sf_detect' has no attribute {name!r}")
    return getattr(importlib.import_module(f"sf_detect.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
