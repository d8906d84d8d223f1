"""An RTSP camera over UDP, in a network that loses packets."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from servers.access_units import encode, write_units
from servers.camera_server import why_not
from servers.pictures import FPS, numbered

pytestmark = pytest.mark.servers
SCRIPT = Path(__file__).with_name("lossy_network.py")
NAMESPACE = ["unshare", "-n"]
RULES = "nft add table inet probe && ip link set lo up"


def require_namespaces() -> None:
    reason = why_not()
    if reason is None and not all(map(shutil.which, ("unshare", "nft", "ip"))):
        reason = "a network that loses packets needs the Debian packages util-linux, nftables and iproute2"
    if reason is None and subprocess.run([*NAMESPACE, "sh", "-c", RULES], capture_output=True).returncode:
        reason = "a network that loses packets needs the permission to make network namespaces (root)"
    if reason is not None:
        pytest.skip(reason)


@pytest.mark.parametrize("preset", ["ultrafast", "veryfast"])
def test_no_network_sees_a_picture_that_lost_something(tmp_path: Path, preset: str) -> None:
    require_namespaces()
    images = (numbered(index, (640, 480)) for index in range(3 * FPS))
    units = write_units(tmp_path / "u", encode(images, FPS, gop=FPS, preset=preset), FPS)
    command = [*NAMESPACE, sys.executable, str(SCRIPT), str(units), "--percent", "2", "--seconds", "10"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SCRIPT.parents[2]), str(SCRIPT.parents[1])])}
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, env=environment)
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)
    assert counts["intact_spoilt"] == 0
    assert counts["spoilt"] > 10, "nothing was lost"
    assert counts["let_through"] == 0
    assert counts["damaged"] < counts["frames"], "key pictures are good again"
    assert "missed" not in done.stderr, "what FFmpeg logs is not shown"
