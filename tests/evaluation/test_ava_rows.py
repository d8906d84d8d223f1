"""Reading AVA csv files."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from sf_detect.errors import DataError
from sf_detect.evaluation import ava_blocks, ava_rows
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


def _text(random: np.random.Generator, uniform: bool) -> str:
    """Rows of all widths with numbers of all forms, or of persons whose rows differ in class and score."""
    lines = []
    for _ in range(3000 if not uniform else 300):
        video, second = f"v{'x' * random.integers(0, 20)}", random.integers(0, 5)
        box = [f"{v:.{random.integers(1, 9)}f}" for v in random.random(4) * 500]
        for _ in range(random.integers(5, 30) if uniform else 1):
            cells = [video, f"{second:04d}", *box, str(random.integers(1, 81)), repr(random.random())]
            lines.append(",".join(cells[: 8 if uniform else random.choice([2, 7, 8])]))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("uniform", [False, True])
def test_careful_and_fast_reader_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uniform: bool) -> None:
    text = _text(np.random.default_rng(0), uniform)
    monkeypatch.setattr(ava_rows, "BLOCK_BYTES", 5000)
    fast, fast_table, _ = _read(tmp_path / "a.csv", text)
    if uniform:
        padded = ava_blocks.PAD + text.encode() + ava_blocks.PAD
        assert ava_blocks._repeating(padded) is not None
    monkeypatch.setattr(ava_rows, "fast_block", lambda *_: None)
    careful, careful_table, _ = _read(tmp_path / "a.csv", text)
    assert fast_table.ids == careful_table.ids
    for column in ("keyframes", "boxes", "classes", "scores"):
        np.testing.assert_array_equal(getattr(fast, column), getattr(careful, column))


def test_readers_agree_on_damaged_text(tmp_path: Path) -> None:
    """The fast reader gives what the careful one gives, or nothing; never a row that the careful one refuses."""
    random = np.random.default_rng(0)
    accepted = 0
    for _ in range(400):
        lines = []
        for _ in range(random.integers(1, 3)):
            box = [f"{v:.{random.choice([1, 3, 6])}f}" for v in random.random(4)]
            decimals = random.choice([3, 9, 17])
            for _ in range(random.integers(1, 12)):
                lines.append(
                    ",".join(["v", "0902", *box, f"{random.integers(1, 1200)}", f"{random.random():.{decimals}f}"])
                )
        text = bytearray(("\n".join(lines) + "\n").encode())
        for _ in range(random.integers(0, 3)):
            text[random.integers(len(text) - 1)] = random.choice(list(b"0129.,,-+e x\n_:/;"))
        padded = ava_blocks.PAD + bytes(text) + ava_blocks.PAD
        fast = ava_blocks.fast_block(padded, (2, 7, 8))
        if fast is not None:
            careful = ava_blocks.careful_block(tmp_path, padded, 1, (2, 7, 8))
            assert fast.lines == careful.lines
            assert _rows(fast) == _rows(careful)
            accepted += 1
    assert 150 < accepted < 350


def _rows(block: ava_blocks.Block) -> list[tuple[object, ...]]:
    prefixes = [block.prefixes[block.prefix_of_run[run]] for run in block.run_of_row]
    columns = (block.boxes[block.run_of_row].tolist(), block.classes.tolist(), block.scores.tolist())
    return list(zip(prefixes, *columns, strict=True))


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
    monkeypatch.setattr(ava_rows, "BLOCK_BYTES", 100)  # the bad row is not in the first block
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
    monkeypatch.setattr(ava_rows, "BLOCK_BYTES", 100)
    monkeypatch.setattr(ava_rows, "_LONGEST_LINE", 1000)
    with pytest.raises(DataError, match="no line end within 1000 bytes"):
        _read(tmp_path / "a.csv", b"0" * 5000)


def test_timestamps() -> None:
    assert {official_time(t) for t in ("902", "0902", "902.0", "902.0000004")} == {"902.000000"}
    assert official_time("902.000001") == "902.000001"
    assert pyslowfast_time("902") == pyslowfast_time("0902") == "0902"
    with pytest.raises(ValueError, match=r"integer timestamps such as 0902, got '902\.0'"):
        pyslowfast_time("902.0")
