"""Reading AVA csv files."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from sf_detect import ava_csv
from sf_detect.errors import DataError
from sf_detect.evaluation.ava import official_time, pyslowfast_time
from sf_detect.evaluation.ava_rows import AvaRows, KeyframeTable, Selection, read_ava_rows

ROW = "vid,0902,0.1,0.2,0.3,0.4,12,0.5\n"


def _read(path: Path, data: str | bytes, **options: object) -> tuple[AvaRows, KeyframeTable, int]:
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    table = KeyframeTable(official_time)
    read = read_ava_rows(path, table, **options)  # type: ignore[arg-type]
    return read.rows, table, read.lines


def test_columns(tmp_path: Path) -> None:
    text = "a,0902,0.1,0.2,0.3,0.4,12,0.25\na,903\nb,902.5,1,2,3,4,7\na,902,5,6,7,8,80,1e-05\n"
    rows, table, count = _read(tmp_path / "a.csv", text)
    assert count == 4
    assert list(table.ids) == ["a,902.000000", "a,903.000000", "b,902.500000"]
    assert rows.keyframes.tolist() == [0, 2, 0]
    assert rows.boxes.tolist() == [[0.1, 0.2, 0.3, 0.4], [1, 2, 3, 4], [5, 6, 7, 8]]
    assert rows.classes.tolist() == [12, 7, 80]
    assert rows.scores.tolist() == [0.25, 1.0, 1e-05]
    assert rows.first_lines[rows.box_of_row].tolist() == [1, 3, 4]


@pytest.mark.parametrize(
    "data",
    [
        (ROW * 3).encode(),
        (ROW * 3).rstrip().encode(),
        b"\xef\xbb\xbf" + (ROW * 3).encode(),
        (ROW * 3).replace("\n", "\r\n").encode(),
        (ROW * 2 + '"vid",0902,0.1,0.2,0.3,"0.4",12,0.5\n').encode(),
        (ROW * 2 + "vid,0902, 0.1,+0.2,0.3,.4,012,5e-1\n").encode(),
        gzip.compress((ROW * 3).encode()),
    ],
    ids=["plain", "no last newline", "byte order mark", "windows", "quotes", "other number forms", "gzip"],
)
def test_forms_of_a_file(tmp_path: Path, data: bytes) -> None:
    rows, table, count = _read(tmp_path / "a.csv", data)
    assert (count, list(table.ids)) == (3, ["vid,902.000000"])
    assert rows.boxes.tolist() == [[0.1, 0.2, 0.3, 0.4]] * 3
    assert (rows.classes.tolist(), rows.scores.tolist()) == ([12] * 3, [0.5] * 3)


def test_empty_file(tmp_path: Path) -> None:
    rows, table, count = _read(tmp_path / "a.csv", "")
    assert (len(rows), table.ids, count) == (0, {}, 0)
    assert rows.boxes.shape == (0, 4)


def test_selection(tmp_path: Path) -> None:
    selection = Selection(
        lambda keyframe: keyframe > 0,
        lambda ids: np.where(ids == 13, 0, -1),
        lambda keyframes, scores: scores > 0.5,
    )
    text = "".join(f"vid,{t},0.1,0.2,0.3,0.4,{c},{s}\n" for t in (1, 2) for c in (12, 13) for s in (0.25, 0.75))
    rows, _, count = _read(tmp_path / "a.csv", text, selection=selection)
    assert (rows.keyframes.tolist(), rows.classes.tolist(), rows.scores.tolist(), count) == ([1], [0], [0.75], 8)
    assert read_ava_rows(tmp_path / "a.csv", KeyframeTable(official_time), selection=selection).counting == 2


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("vid,0902,0.1,0.2,0.3,0.4\n", "6 columns, expected 2 or 7 or 8 (video,timestamp,x1"),
        ("\n", "an empty line"),
        ("vid,0902,a,0.2,0.3,0.4,12,0.5\n", "x1 is a number, got 'a'"),
        ("vid,0902,0.1,0.2,,0.4,12,0.5\n", "x2 is a number, got ''"),
        ("vid,0902,0.1,0.2,0.3,nan,12,0.5\n", "y2 is a finite number, got 'nan'"),
        ("vid,0902,0.1,0.2,0.3,0.4,12.0,0.5\n", "the label id is an integer such as 12, got '12.0'"),
        ("vid,0902,0.1,0.2,0.3,0.4,,0.5\n", "the label id is an integer such as 12, got ''"),
        ("vid,0902,0.1,0.2,0.3,0.4,12,high\n", "score is a number, got 'high'"),
        ("vid,0902,0.1,0.2,0.3,0.4,12,inf\n", "score is a finite number, got 'inf'"),
        ("vid,soon,0.1,0.2,0.3,0.4,12,0.5\n", "the timestamp is a number of seconds such as 0902 or 902.5, got 'soon'"),
        ("vid,nan\n", "the timestamp is a number of seconds"),
        ('vid,"0902,0.1,0.2,0.3,0.4,12,0.5\n', "not a line of csv in UTF-8"),
        ("vid,0902,0.1,0.2,0.3,0.4,12,0.5,1\n", "9 columns, expected 2 or 7 or 8"),
        ("vid,0902,0.1,0.2,0.3,0.4,1.5\n", "the label id is an integer such as 12, got '1.5'"),
        ("vid,0902,0.1\r0.2,0.3,0.4,12,0.5\n", "a carriage return within a line; save the file with line feeds"),
        ("vid,0902,0.1,0.2,0.3,0.4,99999999999999999999,0.5\n", "a label id is at most 2147483647, got '9999999"),
        ("vid,0902,0.1,0.2,0.3,0.4,2147483648,0.5\n", "a label id is at most 2147483647, got '2147483648'"),
        ('{"video": "a"}\n', "this is JSON; expected csv, as `sf-detect run --out-csv` writes it"),
    ],
)
def test_malformed_row(tmp_path: Path, bad: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ava_csv, "BLOCK_BYTES", 100)  # the bad row is not in the first block
    with pytest.raises(DataError) as error:
        _read(tmp_path / "a.csv", ROW * 10 + bad + ROW)
    assert str(error.value).startswith(f"{tmp_path / 'a.csv'}:11: ")
    assert message in str(error.value)


def test_header(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r":1: x1 is a number, got 'x1' \(a header\? AVA csv files have none\)"):
        _read(tmp_path / "a.csv", "video,timestamp,x1,y1,x2,y2,label,score\n" + ROW)


def test_latin_1(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r":2: not a line of csv in UTF-8"):
        _read(tmp_path / "a.csv", (ROW + 'vid"\xe9,0902\n').encode("latin-1"))


def test_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_ava_rows(tmp_path / "missing.csv", KeyframeTable(official_time))
    with pytest.raises(DataError, match="cannot be read"):
        _read(tmp_path / "a.csv", gzip.compress(ROW.encode() * 100)[:-20])
    monkeypatch.setattr(ava_csv, "BLOCK_BYTES", 100)
    monkeypatch.setattr(ava_csv, "_LONGEST_LINE", 1000)
    with pytest.raises(DataError, match="no line end within 1000 bytes"):
        _read(tmp_path / "a.csv", b"0" * 5000)


def test_timestamps() -> None:
    assert {official_time(t) for t in ("902", "0902", "902.0", "902.0000004")} == {"902.000000"}
    assert official_time("902.000001") == "902.000001"
    assert pyslowfast_time("902") == pyslowfast_time("0902") == "0902"
    with pytest.raises(ValueError, match=r"integer timestamps such as 0902, got '902\.0'"):
        pyslowfast_time("902.0")
