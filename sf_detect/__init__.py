"""Real-time spatiotemporal action detection: who does what, where and when in video."""

from sf_detect.version import __version__

__all__ = ["__version__"]
