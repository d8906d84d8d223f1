"""Live sources: a display that never waits, with persons and actions found beside it."""

from sf_detect.live.counts import Age, StreamStats
from sf_detect.live.load import ActionForm, Load
from sf_detect.live.output import LiveOutput
from sf_detect.live.session import LiveSession
from sf_detect.live.stream import LiveParts, LiveStream

__all__ = ["ActionForm", "Age", "LiveOutput", "LiveParts", "LiveSession", "LiveStream", "Load", "StreamStats"]
