"""Which files are videos, by their ending or, where that says nothing, by their first bytes."""

from __future__ import annotations

import os

# fmt: off
VIDEO_ENDINGS = frozenset(
    {
        ".mp4", ".m4v", ".mov", ".qt", ".mkv", ".webm", ".avi", ".divx", ".mpg", ".mpeg", ".mpe", ".m2v", ".vob",
        ".m2ts", ".m2t", ".wmv", ".asf", ".flv", ".f4v", ".3gp", ".3g2", ".ogv", ".ogm", ".mxf", ".y4m", ".h264",
        ".264", ".hevc", ".h265", ".265", ".ivf", ".mjpeg", ".mjpg", ".rmvb", ".gif", ".nut", ".amv",
    }
)
"""Endings of files that are taken for videos, in lower case. Those that others use too (.ts, .dv) are looked into."""
OTHER_ENDINGS = frozenset(
    {
        ".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".heic", ".txt", ".csv", ".json", ".jsonl",
        ".ndjson", ".xml", ".yaml", ".yml", ".md", ".pdf", ".html", ".srt", ".vtt", ".ass", ".mp3", ".wav", ".flac",
        ".aac", ".m4a", ".ogg", ".opus", ".zip", ".gz", ".tar", ".7z", ".rar", ".py", ".sh", ".ini", ".cfg", ".log",
        ".db", ".sqlite", ".parquet", ".npy", ".npz", ".pt", ".pth", ".onnx", ".safetensors", ".part", ".lock",
        ".tmp", ".mat", ".pkl",
    }
)
"""Endings of files that are not looked into."""
# fmt: on

_HEAD = 4 * 192 + 8
_PACKETS = (188, 192, 204)
"""Bytes of a packet of an MPEG transport stream, by flavour."""
_MAGIC: tuple[tuple[int, bytes], ...] = (
    (4, b"ftyp"),
    (4, b"moov"),
    (4, b"mdat"),
    (0, b"\x1a\x45\xdf\xa3"),  # Matroska, WebM
    (8, b"AVI "),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),  # ASF, WMV
    (0, b"FLV\x01"),
    (0, b"\x00\x00\x01\xba"),  # MPEG program stream
    (0, b"\x00\x00\x01\xb3"),  # MPEG video
    (0, b"\x00\x00\x00\x01\x67"),  # H.264
    (0, b"\x00\x00\x00\x01\x40\x01"),  # H.265
    (0, b"\x06\x0e\x2b\x34\x02\x05\x01\x01"),  # MXF
    (0, b"YUV4MPEG2"),
    (0, b"DKIF"),  # IVF
    (0, b".RMF"),
    (28, b"\x80theora"),
)
_STILL = (b"ftypavif", b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypM4A ", b"ftypM4B ")


def is_video(path: str) -> bool:
    """Whether a file counts as a video: by its ending, else by its first bytes. One that can't be read does not."""
    ending = os.path.splitext(path)[1].lower()
    if ending in VIDEO_ENDINGS:
        return True
    if ending in OTHER_ENDINGS:
        return False
    try:
        with open(path, "rb") as file:
            return looks_like_video(file.read(_HEAD))
    except OSError:
        return False


def looks_like_video(head: bytes) -> bool:
    """Whether these are the first bytes of a container or stream of video."""
    if any(head[4 : 4 + len(brand)] == brand for brand in _STILL):
        return False
    if any(head[place : place + len(magic)] == magic for place, magic in _MAGIC):
        return True
    return any(_is_transport_stream(head, size) for size in _PACKETS)


def _is_transport_stream(head: bytes, size: int) -> bool:
    start = 4 if size == 192 else 0  # a time comes before each packet
    marks = head[start : start + 3 * size + 1 : size]
    return len(marks) == 4 and set(marks) == {0x47}
