"""Renders the clip behind ``sf-detect demo``: synthetic people whose boxes, identities and actions are known exactly.

Needs the extra ``demo-clip``: ``anny`` (the body model) and ``numba``.

    python tools/render_demo_clip.py                      # writes demo.mp4 and demo_boxes.json to sf_detect/assets
    python tools/render_demo_clip.py --stills 0 60 120 --out DIR    # only these frames, as PNG
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from sf_detect.errors import MissingExtraError

ASSETS = Path(__file__).resolve().parent.parent / "sf_detect" / "assets"


def main() -> None:
    """Parse and call."""
    options = _parse()
    try:
        import anny  # noqa: F401  imported by every process that renders
        from demo_clip.production import produce
    except ModuleNotFoundError as error:
        raise SystemExit(str(MissingExtraError(error.name or "anny", "demo-clip", "rendering the demo clip"))) from None
    produce(options.out, options.stills, options.seed, options.workers, options.crf)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ASSETS, help="folder to write to")
    parser.add_argument("--stills", type=int, nargs="+", metavar="FRAME", help="write these frames as PNG instead")
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the sensor noise; motions and boxes do not depend on it"
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes that render")
    parser.add_argument("--crf", type=int, default=22, help="x264 quality, lower is better and larger")
    return parser.parse_args()


if __name__ == "__main__":
    main()
