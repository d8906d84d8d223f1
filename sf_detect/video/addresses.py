"""What the address of a stream says about how to receive it."""

from __future__ import annotations

from sf_detect.errors import SourceOpenError
from sf_detect.redaction import public_url

SCHEMES = frozenset({"rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "udp", "rtp", "srt", "tcp"})
_LOSSY_SCHEMES = frozenset({"udp", "rtp"})
_WEB = frozenset({"http", "https"})
# FFmpeg looks at five seconds of a stream before it hands out the first packet. (With its flag "nobuffer" what it has
# looked at would be gone, and with it the key picture that many servers send first.)
_SHORT_PROBE = {"analyzeduration": "100000", "probesize": "50000"}


def require_known_scheme(url: str) -> None:
    """Refuses addresses that no trying again can mend.

    Raises:
        SourceOpenError: An unknown scheme, or no host.
    """
    scheme, _, rest = url.partition("://")
    if scheme.lower() not in SCHEMES:
        raise SourceOpenError(
            f"{public_url(url)}: the protocol {scheme!r} is not known. Expected a URL that starts with "
            "rtsp://, http://, https://, rtmp:// or udp://."
        )
    if not rest.strip("/"):
        raise SourceOpenError(f"{url}: there is no host in this address. Expected one such as {scheme}://camera/path.")


def stream_options(url: str, rtsp_transport: str = "tcp") -> dict[str, str]:
    """FFmpeg's options for an address: short probing, and the transport of RTSP."""
    if _scheme(url) in ("rtsp", "rtsps"):
        return {**_SHORT_PROBE, "rtsp_transport": rtsp_transport}
    if is_web(url) and not _is_playlist(url):
        return dict(_SHORT_PROBE)
    return {"analyzeduration": "500000", "probesize": "500000"}


def is_web(url: str) -> bool:
    """Whether it is an address of the web."""
    return _scheme(url) in _WEB


def loses_packets(url: str, rtsp_transport: str) -> bool:
    """Whether the transport may lose packets."""
    scheme = _scheme(url)
    return scheme in _LOSSY_SCHEMES or (scheme.startswith("rtsp") and rtsp_transport != "tcp")


def _scheme(url: str) -> str:
    return url.partition("://")[0].lower()


def _is_playlist(url: str) -> bool:
    return url.partition("?")[0].lower().endswith((".m3u8", ".mpd"))
