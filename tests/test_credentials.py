"""A canary in the place of every credential: no command may show it in its output, its files or their names."""

from __future__ import annotations

import functools
import http.server
import os
import sys
import threading
import traceback
from collections.abc import Iterator

import pytest
from test_cli import FakePredictor, fakes  # noqa: F401  fixture

from sf_detect import build, cli
from sf_detect.errors import SFDetectError
from synthetic_video import write_video

CANARY = "CANARY"
# Where a user may have put a secret; {host} is a server that works.
# (Ids of the tests are numbers, because `tmp_path` has them in its name.)
FORMS = [
    "http://CANARYuser:CANARYpass@{host}/{path}",
    "http://CANARYuser:CANARY#pass@{host}/{path}",
    "http://CANARYuser:CANARY/pa?ss@CANARY@{host}/{path}?token=CANARY#CANARY",
    "http://{host}/{path}?token=CANARY&b=CANARY@x",
    "http://CANARYuser:1234/CANARY@{host}/{path}",
    "rtsp://user:CANARY@127.0.0.1:1/live",
    "nonsense://user:CANARY@{host}/x",
    "http:/user:CANARY@{host}/x",
    "user:CANARY@{host}/x",
]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("site")
    write_video(folder / "in.ts", num_frames=8)
    handler = functools.partial(Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join(10)
    server.server_close()


@pytest.fixture
def nothing_shown(tmp_path, capfd, caplog):
    """Checks everything that was printed, logged and written."""
    yield
    printed = capfd.readouterr()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    kept = "".join(f"{path} {path.read_bytes().decode('latin1')}" for path in files)
    for text in (printed.out, printed.err, caplog.text, kept):
        assert CANARY not in text
    assert CANARY not in "".join(str(path) for path in tmp_path.rglob("*"))


@pytest.mark.parametrize("form", FORMS, ids=map(str, range(len(FORMS))))
@pytest.mark.usefixtures("fakes", "nothing_shown")
def test_run(sf_detect, site, form):
    source = form.format(host=site, path="in.ts")
    assert sf_detect("run", source) in (0, 1, 3)
    sf_detect("run", source, "--out-jsonl", "o.jsonl", "--out-csv", "o.csv")


@pytest.mark.parametrize("form", FORMS, ids=map(str, range(len(FORMS))))
@pytest.mark.usefixtures("fakes", "nothing_shown")
def test_commands_that_take_the_address_for_a_file(sf_detect, site, form, tmp_path):
    address = form.format(host=site, path="in.ts")
    (tmp_path / "g.csv").write_text("a,1,0,0,1,1,1\n")
    for arguments in (
        ("classify", address, "--model", "none"),
        ("run", "in.mp4", "--config", address),
        ("run", "in.mp4", "--weights", address),
        ("run", "in.mp4", "--set", f"model.weights={address}"),
        ("run", "in.mp4", "--set", f"model.wights={address}"),
        ("run", "in.mp4", "--detector", address),
        ("run", "in.mp4", "--device", address),
        ("evaluate", "ava", "--groundtruth", "g.csv", "--detections", address),
        ("evaluate", "ava", "--groundtruth", "g.csv", "--detections", "g.csv", "--label-map", address),
        ("weights", "info", address),
        ("weights", "pull", address),
        ("weights", "convert", address, "o.safetensors"),
        ("train", address),
    ):
        assert sf_detect(*arguments) in (1, 2), arguments


@pytest.mark.parametrize("form", FORMS, ids=map(str, range(len(FORMS))))
@pytest.mark.usefixtures("nothing_shown")
def test_mirrors_and_sources_of_weights(sf_detect, site, form, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SF_DETECT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("sf_detect.weights.transfer.time.sleep", lambda seconds: None)
    name = "faster_rcnn_R_50_FPN_3x"
    assert sf_detect("weights", "pull", name, "--from", form.format(host=site, path="none")) == 1
    monkeypatch.setattr("sf_detect.weights.detector_table.DETECTORS", one_local_detector(name))
    monkeypatch.setenv("SF_DETECT_MIRROR", form.format(host=site, path="m").replace(" ", ""))
    assert sf_detect("weights", "pull", name) == 1


def one_local_detector(name: str) -> dict[str, object]:
    from dataclasses import replace

    from sf_detect.weights.detector_table import DETECTORS

    return {name: replace(DETECTORS[name], urls=("http://127.0.0.1:1/a.pkl",))}


@pytest.mark.parametrize("form", FORMS, ids=map(str, range(len(FORMS))))
@pytest.mark.usefixtures("fakes", "nothing_shown")
def test_a_defect_and_its_traceback(sf_detect, site, form, monkeypatch):
    source = form.format(host=site, path="in.ts")

    def broken(*_: object) -> None:
        raise RuntimeError(f"lost {source}")

    monkeypatch.setattr(build, "build_predictor", broken)
    sf_detect("run", source)
    monkeypatch.setenv("SF_DETECT_DEBUG", "1")
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(sys, "argv", ["sf-detect", "run", source])
    try:
        cli.main()
    except RuntimeError as error:
        sys.excepthook(RuntimeError, error, None)
    except SystemExit:
        pass


@pytest.mark.parametrize("form", FORMS, ids=map(str, range(len(FORMS))))
def test_tracebacks_of_the_library(site, form):
    source = form.format(host=site, path="missing.ts")
    with pytest.raises(SFDetectError) as error:
        build.open_source(source)
    assert CANARY not in "".join(traceback.format_exception(error.value))


@pytest.mark.usefixtures("fakes")
def test_the_name_of_a_stream_is_its_host(sf_detect, site, tmp_path):
    url = f"http://CANARYuser:CANARYpass@{site}/in.ts?token=CANARY"
    assert sf_detect("run", url, "-q", "--out-jsonl", "o.jsonl") == 0
    assert '"video": "127.0.0.1"' in (tmp_path / "o.jsonl").read_text()
    assert sf_detect("run", url, "-q") == 0
    assert (tmp_path / "in_actions.mp4").exists()
    assert os.listdir(tmp_path)
