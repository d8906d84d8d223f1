"""What takes results: annotated video, JSON Lines, AVA csv, events, a contact sheet, or several at once.

A sink is imported when it is first named: one that encodes video takes longer than a question to an archive.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sf_detect.sinks.ava_csv import AvaCsvSink
    from sf_detect.sinks.events_csv import EventsCsvSink
    from sf_detect.sinks.group import SinkGroup
    from sf_detect.sinks.json_lines import JsonLinesSink
    from sf_detect.sinks.sheet import SheetSink
    from sf_detect.sinks.video import VideoSink

_MODULES = {
    "AvaCsvSink": "ava_csv",
    "EventsCsvSink": "events_csv",
    "JsonLinesSink": "json_lines",
    "SheetSink": "sheet",
    "SinkGroup": "group",
    "VideoSink": "video",
}

__all__ = ["AvaCsvSink", "EventsCsvSink", "JsonLinesSink", "SheetSink", "SinkGroup", "VideoSink"]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
