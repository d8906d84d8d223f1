"""Downloads, from a server on this machine that drops, truncates, redirects and lies."""

from __future__ import annotations

import hashlib
import os
import sys
import threading
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from sf_detect.errors import WeightsDownloadError, WeightsError, WeightsFormatError, WeightsHashError
from sf_detect.weights import cache, download, transfer
from sf_detect.weights.download import fetch_url

DATA = bytes(range(256)) * 1500  # several blocks
DIGEST = hashlib.sha256(DATA).hexdigest()
PAGE = b"\n<!DOCTYPE html><html>Please log in</html>"


@dataclass
class Site:
    """What the server does; `drops` holds, per request, after how many bytes it closes the connection."""

    address: str = ""
    data: bytes = DATA
    tag: str | None = '"1"'
    ranges: bool = True
    lengths: bool = True
    chunked: bool = False
    drops: list[int] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    shift: int = 0
    asked: list[tuple[str, str | None]] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    site: Site
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        site, wanted = self.site, self.headers.get("Range")
        site.asked.append((self.path, wanted))
        self.close_connection = True
        code = site.codes.pop(0) if site.codes else 200
        if self.path.startswith("/moved"):
            code, site.headers["Location"] = 302, f"{site.address}{self.path.removeprefix('/moved')}"
        start = 0
        if code == 200 and wanted and site.ranges and self.headers.get("If-Range") == site.tag:
            start, code = int(wanted.removeprefix("bytes=").rstrip("-")) + site.shift, 206
        self.send_response(code)
        # Said aloud: a client that takes the connection for reusable meets it closing and fails, by chance.
        self.send_header("Connection", "close")
        if code == 206:
            self.send_header("Content-Range", f"bytes {start}-{len(site.data) - 1}/{len(site.data)}")
        for key, value in (site.headers | ({"ETag": site.tag} if site.tag else {})).items():
            self.send_header(key, value)
        body = site.data[start:] if code < 300 else b""
        if site.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif site.lengths:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        cut = site.drops.pop(0) if site.drops and code < 300 else len(body)
        if site.chunked:
            self.wfile.write(b"%x\r\n" % len(body) + body[:cut] + (b"\r\n0\r\n\r\n" if cut == len(body) else b""))
        else:
            self.wfile.write(body[:cut])


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Site]:
    for variable in list(os.environ):
        if variable.lower().endswith("_proxy"):
            monkeypatch.delenv(variable)
    monkeypatch.delenv(download.MIRROR_VARIABLE, raising=False)
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(transfer, "_FIRST_PAUSE", 0.0)
    site = Site()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Served", (Handler,), {"site": site}))
    site.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield site
    server.shutdown()
    thread.join(10)
    server.server_close()


def fetch(site: Site, sha256: str | None = None, path: str = "/zoo/a.pkl", notices: list[str] | None = None) -> Path:
    return fetch_url([site.address + path], "w.bin", sha256, (notices if notices is not None else []).append)


def files() -> set[str]:
    return {p.name for p in cache.cache_directory().iterdir() if not p.name.endswith(".lock")}


def the_part() -> Path:
    """The incomplete download in the cache."""
    (part,) = cache.cache_directory().glob(".w.bin.*.part")
    return part


def dead_address() -> str:
    """Where nobody listens: the port of a server that was closed."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.server_close()
    return f"http://127.0.0.1:{server.server_address[1]}"


def test_fetches_once_and_records_the_hash(site: Site) -> None:
    notices: list[str] = []
    path = fetch(site, notices=notices)
    assert path == cache.cache_directory() / "w.bin"
    assert path.read_bytes() == DATA
    assert download.record_of(path).read_text() == f"{DIGEST}  w.bin\n"
    assert files() == {"w.bin", "w.bin.sha256"}
    assert notices[0] == f"fetching w.bin from {site.address}/zoo/a.pkl"
    assert [n for n in notices if "100 % of 0.4 MB" in n] == notices[-1:]
    assert fetch(site) == path
    assert len(site.asked) == 1
    assert download.is_cached("w.bin")
    assert not download.is_cached("other.bin")


def test_a_known_hash_is_checked_and_not_recorded(site: Site) -> None:
    assert fetch(site, DIGEST).read_bytes() == DATA
    assert files() == {"w.bin"}


def test_another_file_than_published_is_refused(site: Site) -> None:
    with pytest.raises(WeightsHashError, match=rf"SHA-256 is {DIGEST}, expected 0+ \(published\).*not used"):
        fetch(site, "0" * 64)
    assert files() == set()
    assert len(site.asked) == 1


def test_another_file_than_the_first_is_refused(site: Site) -> None:
    path = fetch(site)
    path.unlink()
    site.data = b"other" * 1000
    with pytest.raises(WeightsHashError, match=r"recorded at the first use.*delete the record"):
        fetch(site)
    assert files() == {"w.bin.sha256"}
    download.record_of(path).unlink()
    assert fetch(site).read_bytes() == site.data


def test_a_damaged_file_is_fetched_again(site: Site) -> None:
    notices: list[str] = []
    fetch(site).write_bytes(DATA[:-1])
    assert fetch(site, notices=notices).read_bytes() == DATA
    assert "damaged" in notices[0]


def test_a_file_that_was_put_there_is_recorded(site: Site) -> None:
    cache.cache_directory().mkdir()
    path = cache.cache_directory() / "w.bin"
    path.write_bytes(b"mine")
    assert fetch(site) == path
    assert not site.asked
    path.write_bytes(b"changed")
    with pytest.raises(WeightsHashError):
        fetch(site)


def test_a_dropped_connection_is_continued(site: Site) -> None:
    site.drops = [100_000, 150_000, 0, 0]
    assert fetch(site, DIGEST).read_bytes() == DATA
    starts = [int(r.removeprefix("bytes=").rstrip("-")) if r else 0 for _, r in site.asked]
    assert len(starts) == 5
    assert starts[0] == 0 < starts[1] < starts[2] == starts[3] == starts[4]
    assert files() == {"w.bin"}


def test_a_later_call_continues(site: Site) -> None:
    site.drops = [200_000, 0, 0, 0]
    with pytest.raises(WeightsDownloadError, match=r"\(tried 4 times\).*a broken download is continued"):
        fetch(site)
    part = the_part()
    assert files() == {part.name, f"{part.name}.json"}
    assert site.address not in transfer.note_of(part).read_text()
    site.asked.clear()
    assert fetch(site).read_bytes() == DATA
    ((_, wanted),) = site.asked
    assert wanted is not None
    assert int(wanted.removeprefix("bytes=").rstrip("-")) >= 100_000


def test_a_server_without_ranges_starts_over(site: Site) -> None:
    site.ranges, site.drops = False, [100_000]
    assert fetch(site, DIGEST).read_bytes() == DATA


def test_a_server_without_versions_starts_over(site: Site) -> None:
    site.tag, site.drops = None, [100_000]
    assert fetch(site, DIGEST).read_bytes() == DATA
    assert [r for _, r in site.asked] == [None, None]


def test_a_file_that_changed_meanwhile_starts_over(site: Site) -> None:
    site.drops = [200_000, 0, 0, 0]
    with pytest.raises(WeightsDownloadError):
        fetch(site)
    site.tag, site.data = '"2"', DATA[::-1]
    assert fetch(site).read_bytes() == DATA[::-1]


def test_a_server_that_continues_elsewhere_is_not_believed(site: Site) -> None:
    site.drops, site.shift = [100_000], 7
    assert fetch(site).read_bytes() == DATA
    assert [r is None for _, r in site.asked] == [True, False, True]


def test_a_spoiled_part_is_fetched_whole(site: Site) -> None:
    site.drops = [200_000, 0, 0, 0]
    with pytest.raises(WeightsDownloadError):
        fetch(site, DIGEST)
    part = the_part()
    part.write_bytes(bytes(part.stat().st_size))
    assert fetch(site, DIGEST).read_bytes() == DATA


def test_a_part_that_is_complete_already(site: Site) -> None:
    site.drops = [200_000, 0, 0, 0]
    with pytest.raises(WeightsDownloadError):
        fetch(site)
    the_part().write_bytes(DATA)
    site.asked.clear()
    assert fetch(site, DIGEST).read_bytes() == DATA
    assert not site.asked
    assert files() == {"w.bin"}


def test_a_range_that_is_refused(site: Site) -> None:
    site.drops, site.codes = [100_000], [200, 416]
    assert fetch(site, DIGEST).read_bytes() == DATA


@pytest.mark.parametrize("chunked", [False, True])
def test_truncation_is_never_taken_for_the_file(site: Site, chunked: bool) -> None:
    site.ranges, site.chunked, site.drops = False, chunked, [100_000] * 8
    with pytest.raises(WeightsDownloadError, match=r"the connection (failed|ended).*tried 4 times"):
        fetch(site)
    assert not download.is_cached("w.bin")


def test_a_file_of_unknown_length(site: Site) -> None:
    site.lengths = False
    assert fetch(site).read_bytes() == DATA


def test_a_busy_server_is_asked_again(site: Site) -> None:
    site.codes, site.headers = [503, 429, 500], {"Retry-After": "0"}
    assert fetch(site).read_bytes() == DATA


@pytest.mark.parametrize(("code", "tries"), [(404, 1), (403, 1), (500, 4)])
def test_a_server_that_refuses(site: Site, code: int, tries: int) -> None:
    site.codes = [code] * 9
    with pytest.raises(WeightsDownloadError, match=rf"/zoo/a\.pkl: the server answered {code} .*--weights FILE"):
        fetch(site)
    assert len(site.asked) == tries


def test_nobody_there(site: Site) -> None:
    with pytest.raises(WeightsDownloadError, match=r"the connection failed: .*refused.*Connect to the network"):
        fetch_url([dead_address() + "/a"], "w.bin")


def test_a_silent_server_is_given_up(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*_: object, **__: object) -> None:
        raise requests.exceptions.ReadTimeout("read timed out")

    monkeypatch.setattr(requests.Session, "get", silent)
    with pytest.raises(WeightsDownloadError, match=r"no answer in time: read timed out \(tried 4 times\)"):
        fetch(site)


def test_requests_have_time_outs(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    get, seen = requests.Session.get, []

    def spy(self: requests.Session, url: str, **options: object) -> requests.Response:
        seen.append(options["timeout"])
        return get(self, url, **options)

    monkeypatch.setattr(requests.Session, "get", spy)
    fetch(site)
    assert seen == [(10.0, 30.0)]


def test_redirects_are_followed(site: Site) -> None:
    assert fetch(site, DIGEST, path="/moved/moved/zoo/a.pkl").read_bytes() == DATA
    assert [path for path, _ in site.asked][-1] == "/zoo/a.pkl"


def test_a_circle_of_redirects(site: Site) -> None:
    with pytest.raises(WeightsDownloadError, match="redirects"):
        fetch(site, path="/moved" * 20 + "/a")


@pytest.mark.parametrize(("target", "refused"), [("http://b/x", True), ("https://b/x", False), ("/x", False)])
def test_no_redirect_from_https_to_http(target: str, refused: bool) -> None:
    response = requests.Response()
    response.url, response.status_code, response.headers["Location"] = "https://a/x", 302, target
    with transfer._Session() as session:
        if refused:
            with pytest.raises(WeightsDownloadError, match="redirects to http://b/x, which is not https"):
                session.get_redirect_target(response)
        else:
            assert session.get_redirect_target(response) == target


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (PAGE, "a web page or a pointer, not weights"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "a web page or a pointer"),
        (b"", "empty"),
    ],
)
def test_what_is_no_weights_is_not_stored(site: Site, data: bytes, message: str) -> None:
    site.data = data
    with pytest.raises(WeightsDownloadError, match=message):
        fetch(site)
    assert not download.is_cached("w.bin")
    assert len(site.asked) == 1
    site.data = DATA
    assert fetch(site).read_bytes() == DATA


def test_an_encoded_file_is_refused(site: Site) -> None:
    site.headers["Content-Encoding"] = "gzip"
    with pytest.raises(WeightsDownloadError, match="encoded as gzip"):
        fetch(site)


def test_a_part_that_nobody_asked_for(site: Site) -> None:
    site.codes = [206]
    with pytest.raises(WeightsDownloadError, match="a part of the file"):
        fetch(site)


def test_the_second_address_is_used_when_the_first_is_not_there(site: Site) -> None:
    notices: list[str] = []
    path = fetch_url([dead_address() + "/a", site.address + "/a"], "w.bin", DIGEST, notices.append)
    assert path.read_bytes() == DATA
    assert any("cannot use http://127.0.0.1" in n for n in notices)


def test_a_wrong_mirror_does_not_stop_the_right_address(site: Site, tmp_path: Path) -> None:
    (tmp_path / "wrong").write_bytes(b"wrong")
    assert fetch_url([str(tmp_path / "wrong"), site.address + "/a"], "w.bin", DIGEST).read_bytes() == DATA


def test_mirrors_of_the_environment_come_first(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    mirrors = f"{dead_address()} {site.address}/mirror/"
    monkeypatch.setenv(download.MIRROR_VARIABLE, mirrors)
    assert fetch_url(["https://published.invalid/zoo/a.pkl"], "w.bin").read_bytes() == DATA
    assert [path for path, _ in site.asked] == ["/mirror/zoo/a.pkl"]


def test_a_folder_can_be_a_mirror(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m" / "zoo").mkdir(parents=True)
    (tmp_path / "m" / "zoo" / "a.pkl").write_bytes(DATA)
    monkeypatch.setenv(download.MIRROR_VARIABLE, str(tmp_path / "m"))
    assert fetch(site).read_bytes() == DATA
    assert not site.asked


@pytest.mark.parametrize("as_url", [True, False])
def test_local_files(site: Site, tmp_path: Path, as_url: bool) -> None:
    source = tmp_path / "a file.pkl"
    source.write_bytes(DATA)
    path = fetch_url([source.as_uri() if as_url else str(source)], "w.bin")
    assert path.read_bytes() == DATA
    assert source.exists()
    with pytest.raises(WeightsDownloadError, match="no such file"):
        fetch_url([str(tmp_path / "none")], "other.bin")


@pytest.mark.parametrize(
    ("url", "message"), [("ftp://host/a", "'ftp'"), ("http://", "cannot be asked for"), ("http://[/a", "asked for")]
)
def test_addresses_that_cannot_work(site: Site, url: str, message: str) -> None:
    with pytest.raises(WeightsDownloadError, match=message):
        fetch_url([url], "w.bin")


def test_no_address(site: Site) -> None:
    with pytest.raises(WeightsDownloadError, match="No address is known"):
        fetch_url([], "w.bin")


def test_fetching_at_once_downloads_once(site: Site) -> None:
    results: list[bytes] = []
    threads = [threading.Thread(target=lambda: results.append(fetch(site).read_bytes())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert results == [DATA] * 4
    assert len(site.asked) == 1


def test_a_lock_that_is_never_released(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    from filelock import FileLock

    monkeypatch.setattr(download, "_WAIT_SECONDS", 0.01)
    cache.cache_directory().mkdir()
    notices: list[str] = []
    with FileLock(cache.cache_directory() / ".w.bin.lock"), pytest.raises(WeightsDownloadError, match=r"delete .*lock"):
        fetch(site, notices=notices)
    assert "waiting" in notices[0]


def test_a_cache_that_cannot_be_written(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path / "file" / "cache"))
    with pytest.raises(WeightsError, match=f"set {cache.CACHE_VARIABLE} to one"):
        fetch(site)


@pytest.mark.parametrize("terminal", [True, False])
def test_a_bar_for_terminals_and_silence_for_pipes(
    site: Site, terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    assert fetch_url([site.address + "/a"], "w.bin").read_bytes() == DATA
    printed = capsys.readouterr()
    assert printed.out == ""
    assert ("fetching w.bin from" in printed.err) == terminal
    if not terminal:
        assert printed.err == ""


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/json"])
def test_an_error_under_the_status_of_a_success_is_refused(site, kind):
    site.data, site.headers = b'{"error": "denied"}', {"Content-Type": kind}
    with pytest.raises(WeightsDownloadError, match=f"sent {kind.partition(';')[0]}, not weights"):
        fetch(site)
    assert files() == set()


def test_what_is_of_no_use_is_not_stored(site, tmp_path):
    seen = []

    def check(path: Path) -> None:
        seen.append(path.read_bytes())
        if path.read_bytes() != DATA:
            raise WeightsFormatError("no weights")

    (tmp_path / "wrong").write_bytes(b"x")
    with pytest.raises(WeightsDownloadError, match="no weights"):
        fetch_url([str(tmp_path / "wrong")], "w.bin", check=check)
    assert files() == set()
    assert fetch_url([str(tmp_path / "wrong"), site.address + "/a"], "w.bin", check=check).read_bytes() == DATA
    fetch_url([], "w.bin", check=check)
    assert seen == [b"x", b"x", DATA]  # what is in the cache was looked at when it came


def test_a_link_in_the_place_of_a_part_is_not_followed(site: Site, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    folder = cache.cache_directory()
    folder.mkdir(parents=True)
    for name in (".w.bin.part", f".w.bin.{'0' * 16}.part"):
        (folder / name).symlink_to(victim)
    (folder / f".w.bin.{'1' * 16}.part").hardlink_to(victim)
    assert fetch(site, DIGEST).read_bytes() == DATA
    assert victim.read_bytes() == b"mine"


def test_a_part_that_became_a_link_meanwhile_is_not_followed(site: Site, tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"mine")
    (tmp_path / "part").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match=r"symbolic link|Too many levels"):
        transfer.open_part(tmp_path / "part", start=2)
    transfer.open_part(tmp_path / "part").close()
    assert (tmp_path / "victim").read_bytes() == b"mine"


@pytest.mark.parametrize("told", [True, False])
def test_a_file_that_is_too_long_is_refused(site: Site, told: bool) -> None:
    site.lengths = told
    with pytest.raises(WeightsDownloadError, match=r"the file (has 384000 bytes|goes on), expected at most 300000"):
        fetch_url([site.address + "/a"], "w.bin", DIGEST, [].append, max_bytes=300_000)
    assert files() == set()
    assert len(site.asked) == 1
    assert fetch_url([site.address + "/a"], "w.bin", DIGEST, [].append, max_bytes=len(DATA)).read_bytes() == DATA


def test_a_local_file_that_is_too_long_is_refused(site: Site, tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(DATA)
    with pytest.raises(WeightsDownloadError, match="has 384000 bytes, expected at most 1000"):
        fetch_url([str(tmp_path / "w")], "w.bin", DIGEST, [].append, max_bytes=1000)


@pytest.mark.parametrize("known", [True, False])
def test_a_users_own_file_is_set_aside_and_named(site: Site, known: bool, capsys: pytest.CaptureFixture[str]) -> None:
    path = cache.cache_directory() / "w.bin"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"trained for a week")
    if not known:
        download.record_of(path).write_text(f"{DIGEST}  w.bin\n")
    got = fetch_url([site.address + "/a"], "w.bin", DIGEST if known else None)
    assert got.read_bytes() == DATA
    (aside,) = path.parent.glob("*.set-aside")
    assert aside.read_bytes() == b"trained for a week"
    assert str(aside) in capsys.readouterr().err  # also where no terminal watches the progress


@pytest.mark.parametrize(
    "mirror",
    [
        "http://CANARYuser:CANARYpass@{host}/m",
        "http://CANARYuser:CANARY#pass@{host}/m",
        "http://CANARYuser:CANARY/pa@ss@{host}/m?token=CANARY",
        "https://CANARYuser:1234/CANARYpass@{host}/m",
        "http://CANARYtoken@{host}",
        "ftp://CANARYuser:CANARYpass@{host}/m",
    ],
)
@pytest.mark.parametrize("as_source", [True, False])
def test_credentials_of_mirrors_stay_hidden(
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    mirror: str,
    as_source: bool,
) -> None:
    url = mirror.format(host=site.address.removeprefix("http://"))
    site.codes = [404] * 20
    notices: list[str] = []
    if as_source:
        sources = [url]
    else:
        monkeypatch.setenv(download.MIRROR_VARIABLE, url)
        sources = [site.address + "/a"]
    with pytest.raises(WeightsDownloadError) as error:
        fetch_url(sources, "w.bin", DIGEST, notices.append)
    shown = (
        "".join(traceback.format_exception(error.value)) + "".join(notices) + caplog.text + "".join(capfd.readouterr())
    )
    kept = "".join(str(p) + p.read_text("latin1") for p in cache.cache_directory().iterdir())
    assert "CANARY" not in shown + kept


def test_credentials_of_redirects_and_broken_downloads_stay_hidden(site: Site) -> None:
    host = site.address.removeprefix("http://")
    site.drops = [1000, 0, 0, 0]
    url = f"http://u:CANARYpass@{host}/a?sig=CANARY"
    with pytest.raises(WeightsDownloadError) as error:
        fetch_url([url], "w.bin", DIGEST, [].append)
    kept = "".join(str(p) + p.read_text("latin1") for p in cache.cache_directory().iterdir())
    assert "CANARY" not in "".join(traceback.format_exception(error.value)) + kept
    site.codes, site.headers = [302] * 9, {"Location": "ftp://u:CANARYpass@elsewhere/x?sig=CANARY"}
    with pytest.raises(WeightsDownloadError) as error:
        fetch(site)
    assert "CANARY" not in "".join(traceback.format_exception(error.value))
