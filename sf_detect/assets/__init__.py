"""Files that ship with the package: the demo clip with its exact boxes, and the built-in label sets."""

from pathlib import Path

DEMO_VIDEO = Path(__file__).parent / "demo.mp4"
"""Synthetic people, rendered by tools/render_demo_clip.py."""

DEMO_BOXES = Path(__file__).parent / "demo_boxes.json"
"""Their exact boxes, track ids and actions, per frame."""
