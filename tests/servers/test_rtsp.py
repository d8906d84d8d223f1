"""What RTSP cameras do to a live source, with a real server."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest

from servers.access_units import encode, write_units
from servers.camera_server import Serve
from servers.pictures import FPS, numbered
from servers.reader import Read, Reader
from servers.web_cameras import Wire
from sf_detect.video.live_opening import LiveOptions, open_live_source

pytestmark = pytest.mark.servers
SECRET = "CANARY"


def steps(reader: Reader) -> list[float]:
    return [later.pts - earlier.pts for earlier, later in itertools.pairwise(reader.seen)]


def numbers_are_consecutive(reader: Reader, count: int) -> bool:
    numbers = [seen.number for seen in reader.seen]
    return all(
        None not in pair and (pair[1] - pair[0]) % count == 1  # type: ignore[operator]
        for pair in itertools.pairwise(numbers)
    )


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_every_picture_comes_in_time(serve: Serve, read: Read, units: Path, transport: str) -> None:
    server = serve(units)
    reader = read(open_live_source(server.url, LiveOptions(rtsp_transport=transport)))
    reader.until_frames(90)
    assert numbers_are_consecutive(reader, 300)
    assert all(0 < step < 0.2 for step in steps(reader))
    assert sum(steps(reader)) / 89 == pytest.approx(1 / FPS, rel=0.05)
    assert not any(seen.damaged or seen.starts_anew for seen in reader.seen[:90])
    status = reader.source.status()
    assert (status.state, status.size, status.drops, status.jumps) == ("live", (240, 320), {}, 0)


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_user_and_password(serve: Serve, read: Read, units: Path, transport: str) -> None:
    server = serve(units, "--user", "me", "--password", SECRET)
    url = server.url.replace("//", f"//me:{SECRET}@")
    reader = read(open_live_source(url, LiveOptions(rtsp_transport=transport)))
    reader.until_frames(10)


@pytest.mark.parametrize("user", ["", f"me:not{SECRET}@"])
def test_a_wrong_password_is_refused_and_shown_nowhere(
    serve: Serve,
    read: Read,
    units: Path,
    user: str,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = serve(units, "--user", "me", "--password", "right")
    reader = read(open_live_source(server.url.replace("//", f"//{user}")))
    reader.until_state("refused")
    status = reader.source.status()
    assert status.detail == "user name and password were not accepted"
    assert status.retry_at is not None
    assert status.retry_at - status.since > 55
    assert reader.close() < 2.0
    printed = capfd.readouterr()
    assert SECRET not in f"{printed.out}{printed.err}{caplog.text}{reader.statuses}{reader.source!r}"


def test_hevc(serve: Serve, read: Read, tmp_path: Path) -> None:
    path = write_units(tmp_path / "u", encode(map(numbered, range(60)), FPS, codec="h265"), FPS)
    reader = read(open_live_source(serve(path, "--codec", "h265").url))
    reader.until_frames(40)
    assert numbers_are_consecutive(reader, 60)


def test_a_server_that_is_offline_at_the_start_is_waited_for(serve: Serve, read: Read, units: Path) -> None:
    first = serve(units)
    port = first.port
    first.kill()
    reader = read(open_live_source(first.url))
    reader.until_state("waiting")
    assert "refused" in reader.source.status().detail
    serve(units, port=port)
    reader.until_frames(5)
    assert not reader.seen[0].starts_anew
    assert reader.source.status().reconnects == 0


def test_a_server_that_is_killed_and_comes_back(serve: Serve, read: Read, units: Path) -> None:
    server = serve(units)
    reader = read(open_live_source(server.url))
    reader.until_frames(30)
    server.kill()
    reader.until_state("waiting")
    before = reader.seen[-1]
    count = len(reader.seen)
    serve(units, port=server.port)
    back = time.monotonic()
    reader.until_frames(1)
    after = reader.seen[count]
    waits = [status.retry_at - status.since for status in reader.statuses if status.retry_at is not None]
    assert after.arrival - back < max(waits) + 2 + 3, "within one wait and two seconds, and three for a busy machine"
    assert after.starts_anew
    assert after.pts - before.pts == pytest.approx(after.arrival - before.arrival, abs=0.2)
    assert reader.source.status().reconnects == 1


def test_a_server_that_hangs(serve: Serve, read: Read, units: Path) -> None:
    server = serve(units)
    reader = read(open_live_source(server.url))
    reader.until_frames(30)
    server.stop()
    reader.until_state("stalled")
    status = reader.source.status()
    assert status.detail == "no picture for 3 s"
    assert status.last_arrival is not None
    assert 2.9 < status.since - status.last_arrival < 4.5
    count, before = len(reader.seen), reader.seen[-1]
    server.go_on()
    reader.until(lambda: len(reader.seen) > count)
    after = reader.seen[count]
    assert after.starts_anew
    assert after.pts - before.pts == pytest.approx(after.arrival - before.arrival, abs=0.2)


def test_a_wire_that_is_cut_in_mid_frame(serve: Serve, read: Read, units: Path) -> None:
    server = serve(units)
    with Wire(server.port) as wire:
        reader = read(open_live_source(server.url.replace(str(server.port), str(wire.port))))
        reader.until_frames(30)
        wire.cut(after=10_000)
        reader.until(lambda: reader.source.status().reconnects == 1)
        reader.until_frames(10)
    assert all(seen.number is not None for seen in reader.seen if not seen.damaged)


def test_what_comes_late_is_left_out_up_to_the_next_key_picture(serve: Serve, read: Read, units: Path) -> None:
    server = serve(units)
    with Wire(server.port) as wire:
        reader = read(open_live_source(server.url.replace(str(server.port), str(wire.port))))
        reader.until_frames(45)
        wire.hold()
        held = time.monotonic()
        reader.until(lambda: time.monotonic() - held > 2.0)
        wire.release()
        reader.until(lambda: reader.source.status().drops.get("late", 0) > 20)
        reader.until_frames(45)
    assert all(seen.number is not None for seen in reader.seen)
    assert not any(seen.damaged for seen in reader.seen)
    assert reader.source.status().reconnects == 0


def test_a_black_hole(serve: Serve, read: Read, units: Path) -> None:
    server = serve(units)
    with Wire(server.port) as wire:
        reader = read(open_live_source(server.url.replace(str(server.port), str(wire.port))))
        reader.until_frames(30)
        wire.black_hole()
        reader.until_state("stalled")
        reader.until(lambda: "no answer" in {status.detail for status in reader.statuses})
        wire.mend()
        reader.until(lambda: reader.source.status().reconnects == 1)


def test_close_in_a_black_hole_is_quick(serve: Serve, read: Read, units: Path) -> None:
    server = serve(units)
    with Wire(server.port) as wire:
        url = server.url.replace(str(server.port), str(wire.port))
        watching, connecting = read(open_live_source(url)), None
        watching.until_frames(10)
        wire.black_hole()
        connecting = read(open_live_source(url))
        watching.until_state("stalled")
        assert connecting.close() < 2.0
        assert watching.close() < 2.0


@pytest.mark.parametrize("jump", [37_600, -37_600])
def test_a_clock_that_jumps(serve: Serve, read: Read, units: Path, jump: int) -> None:
    server = serve(units)
    reader = read(open_live_source(server.url))
    if jump < 0:  # the stamps of the server begin at 0
        reader.until_frames(1)
        server.tell(f"jump {-jump}")
        reader.until(lambda: reader.source.status().jumps == 1)
    jumps = reader.source.status().jumps
    reader.until_frames(30)
    server.tell(f"jump {jump}")
    reader.until(lambda: reader.source.status().jumps == jumps + 1)
    reader.until_frames(30)
    assert sum(seen.starts_anew for seen in reader.seen) == jumps + 1
    assert all(0 < step < 1.0 for step in steps(reader))
    assert reader.source.status().reconnects == 0


def test_size_and_rate_that_change(serve: Serve, read: Read, tmp_path: Path) -> None:
    path = write_units(tmp_path / "u", encode(map(numbered, range(60)), 30, gop=30), 30)
    large = (numbered(index, (640, 480)) for index in range(100, 145))
    write_units(path, encode(large, 15, gop=15), 15, append=True)
    reader = read(open_live_source(serve(path).url))
    reader.until(lambda: {seen.size for seen in reader.seen} == {(240, 320), (480, 640)})
    reader.until_frames(60)
    assert reader.source.status().reconnects == 0
    for earlier, later in itertools.pairwise(reader.seen):
        assert later.starts_anew == (later.size != earlier.size)
        assert later.number is not None
    rates = {(240, 320): 1 / 30, (480, 640): 1 / 15}
    for size, expected in rates.items():
        pairs = [(a, b) for a, b in itertools.pairwise(reader.seen) if a.size == b.size == size]
        assert sum(b.pts - a.pts for a, b in pairs) / len(pairs) == pytest.approx(expected, rel=0.2)


def test_one_stream_that_dies_harms_no_other(serve: Serve, read: Read, units: Path) -> None:
    dying, staying = serve(units), serve(units)
    lost, kept = read(open_live_source(dying.url)), read(open_live_source(staying.url))
    lost.until_frames(30)
    kept.until_frames(30)
    dying.kill()
    lost.until_state("waiting")
    count = len(kept.seen)
    kept.until_frames(90)
    during = kept.seen[count : count + 90]
    assert (during[-1].arrival - during[0].arrival) / 89 == pytest.approx(1 / FPS, rel=0.1)
    assert kept.states()[-1] == "live"
    assert lost.states()[-1] != "live"
