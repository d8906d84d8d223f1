"""Who did what from when to when.

`rules` decides it from the scores of keyframes, one after the other; `results` feeds it with what a pipeline releases.
Files and live streams use the same two.
"""

from sf_detect.events.results import ResultEvents
from sf_detect.events.rules import Event, EventRules

__all__ = ["Event", "EventRules", "ResultEvents"]
