"""Videos in an object store, annotated by worker processes; the store is a real server on this machine."""

import pytest

from batch_fakes import Listener
from sf_detect.build_batch import BatchOptions, annotate_videos
from sf_detect.config import DetectorConfig, ModelConfig, RunConfig
from synthetic_video import write_video

_NEEDS = "needs an S3 server and client: pip install 'moto[server]' 'sf_detect[remote]'"


@pytest.fixture
def bucket(monkeypatch):
    """Client of a server with an empty bucket "videos"."""
    moto = pytest.importorskip("moto.server", reason=_NEEDS)
    pytest.importorskip("s3fs", reason=_NEEDS)
    boto3 = pytest.importorskip("boto3", reason=_NEEDS)
    server = moto.ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3")
    client.create_bucket(Bucket="videos")
    yield client
    client.close()
    server.stop()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of moto and s3fs
def test_a_bucket(bucket, tmp_path):
    for name in ("cam1/a.mp4", "cam2/a.mp4", "cam2/b.mkv"):
        path = write_video(tmp_path / f"v{name[-4:]}", 20)
        bucket.upload_file(str(path), "videos", f"in/{name}")
    bucket.put_object(Bucket="videos", Key="in/bad.mp4", Body=b"text")
    bucket.put_object(Bucket="videos", Key="in/notes.txt", Body=b"text")
    config = RunConfig(model=ModelConfig("none"), detector=DetectorConfig("whole_frame"))

    def annotate():
        return annotate_videos(["s3://videos/in"], tmp_path / "out", config, BatchOptions(workers=1), Listener())

    first = annotate()
    assert (first.done, first.failed, list(first.failures)) == (3, 1, ["bad.mp4"])
    assert (tmp_path / "out" / "jsonl" / "cam2" / "b.mkv.jsonl").exists()
    assert not (tmp_path / "out" / ".staging").exists()
    again = annotate()
    assert (again.listed.done, again.listed.failed, again.done) == (3, 1, 0)
    bucket.upload_file(str(write_video(tmp_path / "w.mp4", 30)), "videos", "in/cam1/a.mp4")
    changed = annotate()
    assert (changed.listed.changed, changed.done) == (1, 1)
