"""What takes results: annotated video, JSON Lines, AVA csv, events, a contact sheet, or several at once."""

from sf_detect.sinks.ava_csv import AvaCsvSink
from sf_detect.sinks.events_csv import EventsCsvSink
from sf_detect.sinks.group import SinkGroup
from sf_detect.sinks.json_lines import JsonLinesSink
from sf_detect.sinks.sheet import SheetSink
from sf_detect.sinks.video import VideoSink

__all__ = ["AvaCsvSink", "EventsCsvSink", "JsonLinesSink", "SheetSink", "SinkGroup", "VideoSink"]
