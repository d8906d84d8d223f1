import pytest

from sf_detect.errors import ConfigError, SourceOpenError, UnknownNameError
from sf_detect.interfaces import LiveSource
from sf_detect.video.live_opening import LiveOptions, open_live_source


@pytest.mark.parametrize(
    "url", ["rtsp://user:CANARY@camera.invalid/live?token=CANARY", "http://user:CANARY@camera.invalid/x"]
)
def test_a_stream_is_not_waited_for_and_shows_no_credentials(url: str) -> None:
    source = open_live_source(url)
    assert isinstance(source, LiveSource)
    assert source.name == "camera.invalid"
    assert source.status().state == "connecting"
    assert "CANARY" not in f"{source!r} {source.status()!r}"
    source.close()
    assert source.status().state == "ended"


def test_an_unknown_scheme_is_an_error_at_once() -> None:
    with pytest.raises(SourceOpenError, match=r"the protocol 'rstp' is not known\. Expected .*rtsp://") as caught:
        open_live_source("rstp://user:CANARY@camera/live")
    assert "CANARY" not in str(caught.value)


def test_an_address_without_a_host() -> None:
    with pytest.raises(SourceOpenError, match=r"there is no host in this address\. Expected one such as rtsp://"):
        open_live_source("rtsp:///")


@pytest.mark.parametrize("name", ["stall_seconds", "longest_wait"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_times_are_positive(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"{name} is .*expected a number of seconds above 0"):
        LiveOptions(**{name: value})


def test_an_unknown_transport() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown transport of RTSP 'upd'\. Did you mean 'udp'"):
        LiveOptions(rtsp_transport="upd")
