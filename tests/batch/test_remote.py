"""Videos at addresses: listed, fetched, bounded, and without their credentials in anything that is kept."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

fsspec = pytest.importorskip("fsspec")

from sf_detect.batch import remote  # noqa: E402
from sf_detect.batch.jobs import Job  # noqa: E402
from sf_detect.batch.remote import RemoteInputs, fetched  # noqa: E402
from sf_detect.errors import ConfigError, MissingExtraError, SourceOpenError  # noqa: E402


@pytest.fixture
def store():
    """memory://bucket with some videos."""
    files = fsspec.filesystem("memory")
    for name in ("cam1/a.mp4", "cam1/deep/b.mkv", "cam2/a.mp4", "cam2/notes.txt"):
        files.pipe(f"/bucket/{name}", name.encode())
    yield files
    files.rm("/bucket", recursive=True)


class Handler(BaseHTTPRequestHandler):
    """/good.mp4, /secret.mp4 (needs user:pass1234), /long.mp4 and /short.mp4 (wrong lengths)."""

    asked: list[str]

    def do_HEAD(self):
        self._answer(b"")

    def do_GET(self):
        self._answer(b"x" * 1000)

    def _answer(self, content):
        path = self.path.partition("?")[0]
        allowed = "/secret" not in path or self.headers.get("Authorization", "").startswith("Basic ")
        if not allowed or "/missing" in path:
            self.send_response(404 if allowed else 401)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Length", "1000" if "/short" not in path or content else "2000")
        self.send_header("ETag", '"1"')
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    pytest.importorskip("aiohttp")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def names(address):
    return [found.name for found in RemoteInputs().list(address)]


def fetch(source, folder):
    with fetched(source, folder, lambda seconds, total: None) as (path, shown):
        content = Path(path).read_bytes()
    assert list(folder.iterdir()) == []
    return content, shown


def test_folders_and_globs_and_files(store):
    assert names("memory://bucket") == ["cam1/a.mp4", "cam1/deep/b.mkv", "cam2/a.mp4"]
    assert names("memory://bucket/*/*.mp4") == ["cam1/a.mp4", "cam2/a.mp4"]
    assert names("memory://bucket/cam1/a.mp4") == ["bucket/cam1/a.mp4"]


def test_files_that_are_no_videos_are_counted(store):
    inputs = RemoteInputs()
    list(inputs.list("memory://bucket"))
    assert inputs.passed_over == 1


def test_what_is_listed_can_be_fetched(store, tmp_path):
    found = list(RemoteInputs().list("memory://bucket/cam1"))
    assert [(one.size > 0, one.stamp.startswith(f"{one.size}:")) for one in found] == [(True, True)] * 2
    assert fetch(found[0].source, tmp_path) == (b"cam1/a.mp4", found[0].source)


def test_a_local_path_is_its_own_file(tmp_path):
    with fetched("/some/a.mp4", tmp_path, print) as found:
        assert found == ("/some/a.mp4", "/some/a.mp4")


def test_progress_is_reported_while_fetching(store, tmp_path):
    heard = []
    with fetched("memory://bucket/cam1/a.mp4", tmp_path, lambda *state: heard.append(state)):
        pass
    assert heard == [(0.0, None)]


def test_a_file_that_is_gone(store, tmp_path):
    (found,) = RemoteInputs().list("memory://bucket/none.mp4")
    assert (found.size, found.stamp) == (0, "")
    with pytest.raises(SourceOpenError, match=r"none.mp4 can't be fetched \(no such file\)"):
        fetch("memory://bucket/none.mp4", tmp_path)


def test_web(server, tmp_path):
    (found,) = RemoteInputs().list(f"http://{server}/cam/good.mp4")
    assert found.name.endswith("/cam/good.mp4")
    assert found.stamp == '1000:"1"'
    assert fetch(found.source, tmp_path) == (b"x" * 1000, f"http://{server}/cam/good.mp4")


def test_passwords_of_the_web_are_kept_in_memory_only(server, tmp_path):
    inputs = RemoteInputs()
    address = f"http://user:pass1234@{server}/secret.mp4?token=abcdef"
    (found,) = inputs.list(address)
    assert "pass1234" not in str(found)
    assert "abcdef" not in str(found)
    assert found.name == f"{server}/secret.mp4"
    (job,) = inputs.resolved([Job(found.name, found.source, 5, 2)])
    assert (job.source, job.size, job.attempt) == (address, 5, 2)
    content, shown = fetch(address, tmp_path)
    assert (len(content), "pass1234" in shown) == (1000, False)
    with pytest.raises(SourceOpenError) as caught:
        fetch(f"http://user:pass1234@{server}/missing.mp4?token=abcdef", tmp_path)
    assert "pass1234" not in str(caught.value)
    assert "abcdef" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_addresses_that_differ_only_in_what_is_not_kept(server):
    inputs = RemoteInputs()
    list(inputs.list(f"http://{server}/v.mp4?id=1"))
    list(inputs.list(f"http://{server}/v.mp4?id=1"))
    with pytest.raises(ConfigError, match=r"two addresses are .* without user name, password and query"):
        list(inputs.list(f"http://{server}/v.mp4?id=2"))


@pytest.mark.parametrize(
    ("told", "message"), [(500, "is longer than the 500 bytes"), (2000, "broke off after 1000 of 2000 bytes")]
)
def test_sizes_are_held_to_what_was_told(store, tmp_path, monkeypatch, told, message):
    store.pipe("/bucket/x.mp4", b"x" * 1000)
    monkeypatch.setattr(remote, "_facts", lambda files, path: {"size": told})
    with pytest.raises(SourceOpenError, match=message):
        fetch("memory://bucket/x.mp4", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_credentials_in_addresses_of_stores_are_refused():
    with pytest.raises(ConfigError, match="credentials do not belong in a s3 address") as caught:
        names("s3://key:secretsecret@bucket/a.mp4")
    assert "secretsecret" not in str(caught.value)


def test_unknown_kinds_of_addresses():
    with pytest.raises(ConfigError, match="such addresses are not known"):
        names("zz9://bucket/a.mp4")


def test_a_store_that_is_not_installed(monkeypatch):
    def refuse(*arguments, **options):
        raise ImportError("Install gcsfs to access Google Storage")

    monkeypatch.setattr("fsspec.core.url_to_fs", refuse)
    with pytest.raises(MissingExtraError, match=r"needs 'gcsfs'.*sf_detect\[remote\]"):
        names("gs://bucket/a.mp4")


def test_a_folder_that_can_not_be_listed(store, monkeypatch):
    def refuse(self, path, **options):
        raise PermissionError("Access Denied")

    with monkeypatch.context() as context:
        context.setattr(type(store), "find", refuse)
        with pytest.raises(ConfigError, match="memory://bucket can't be listed: Access Denied"):
            names("memory://bucket")
