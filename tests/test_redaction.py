"""Credentials out of addresses and messages, however the password was written."""

import pytest

from sf_detect.errors import DataError, SourceError, UnknownNameError
from sf_detect.redaction import encoded_url, public_host, public_url, redacted


@pytest.mark.parametrize(
    ("url", "public", "host"),
    [
        ("rtsp://h:554/live", "rtsp://h:554/live", "h"),
        ("rtsp://user:pa#ss@host/?token=x", "rtsp://***@host/?***", "host"),
        ("rtsp://user:pa/ss@host:554/live", "rtsp://***@host:554/live", "host"),
        ("rtsp://user:pa?ss@host", "rtsp://***@host", "host"),
        ("rtsp://u:p@ss@host/x?y#z", "rtsp://***@host/x?***", "host"),
        ("rtsp://me@x.com:pw@host/a", "rtsp://***@host/a", "host"),
        ("http://token@h/a", "http://***@h/a", "h"),
        ("http://h/a;jsessionid=1?b", "http://h/a;***", "h"),
        ("http://h/a#fragment", "http://h/a#***", "h"),
        ("http://h/v.mp4?sig=a@b", "http://h/v.mp4?***", "h"),
        ("http://[::1]:80/x?y", "http://[::1]:80/x?***", "::1"),
        ("https://site.com/@user/v.mp4", "https://site.com/@user/v.mp4", "site.com"),
        # Either the host is "user" and its port 123, or the password "123/ss".
        ("rtsp://user:123/ss@host/x", "rtsp://***", None),
        ("rtsp://user:secret", "rtsp://***", None),
        ("https:/u:p@h/x.yaml", "https:/***@h/x.yaml", "h"),
        ("file:///tmp/a@b?c/d.mp4", "file:///tmp/a@b?c/d.mp4", None),
        ("/tmp/a@b.mp4", "/tmp/a@b.mp4", None),
        ("C:/a/b.mp4", "C:/a/b.mp4", None),
    ],
)
def test_addresses(url, public, host):
    assert public_url(url) == public
    assert public_host(url) == host


@pytest.mark.parametrize(
    ("url", "encoded"),
    [
        ("rtsp://user:pa#s/s@host/?t=x", "rtsp://user:pa%23s%2Fs@host/?t=x"),
        ("rtsp://u:p%40s@h/", "rtsp://u:p%40s@h/"),
        ("rtsp://h/a?b=@c", "rtsp://h/a?b=@c"),
        ("video.mp4", "video.mp4"),
    ],
)
def test_passwords_are_encoded_for_those_who_follow_the_standard(url, encoded):
    assert encoded_url(url) == encoded


def test_addresses_in_text():
    text = "cannot open 'http://u:p@h/x?t=1': no. (see http://h/doc). user:pw@host/x does not exist; ratio 4:3."
    assert redacted(text) == (
        "cannot open 'http://***@h/x?***': no. (see http://h/doc). ***@host/x does not exist; ratio 4:3."
    )


@pytest.mark.parametrize("form", ["CANARYtok%2F9", "CANARYtok/9", "CANARYtok%252F9"])
def test_parts_of_a_known_address_are_hidden_alone_too(form):
    url = "http://u:CANARYpw@h/live?token=CANARYtok%2F9"
    shown = redacted(f"Max retries exceeded with url: /live?token={form} (user u, CANARYpw)", url)
    assert "CANARY" not in shown


def test_a_quotation_mark_in_a_password():
    assert redacted("got 'http://u:p'q@h/x'.") == "got 'http://***@h/x'."


@pytest.mark.parametrize(
    "error",
    [
        SourceError("rtsp://u:CANARY/x@h/ is gone"),
        UnknownNameError("model", "https://u:CANARY@h/m", ["a"]),
        DataError("https:/u:CANARY@h/d.csv", 3, "is no csv"),
    ],
)
def test_every_error_of_ours_is_redacted(error):
    assert "CANARY" not in str(error)


def test_errors_can_be_printed_anywhere():
    str(SourceError("caf\udce9.mp4\x1b[2J is gone")).encode("ascii")
