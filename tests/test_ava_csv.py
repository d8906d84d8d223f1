"""The reader of AVA's csv files: what pyarrow reads and what is read row by row are the same."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from sf_detect import ava_csv
from sf_detect.ava_csv import Block, Layout, careful_block, fast_block, parse, read_texts
from sf_detect.errors import DataError

PATH = Path("a.csv")
LAYOUTS = [Layout(), Layout(persons=True), Layout((2, 7, 8), more=True, persons=True, blank=True, header=True)]


def rows_of(block: Block) -> list[tuple[object, ...]]:
    """What a block says of every line with a box."""
    prefixes = [block.prefixes[block.prefix_of_run[run]] for run in block.run_of_row]
    labels = [block.labels[label] for label in block.label_of_row]
    columns = (block.rows.tolist(), block.boxes[block.run_of_row].tolist(), labels, block.scores.tolist())
    return list(zip(prefixes, *columns, strict=True))


def keyframes_of(block: Block) -> list[bytes]:
    """The keyframe of every line that begins another one."""
    found = [block.prefixes[place] for place in block.prefix_of_run]
    return [name for place, name in enumerate(found) if not place or name != found[place - 1]]


def text_of(random: np.random.Generator, widths: tuple[int, ...]) -> bytes:
    lines = []
    for _ in range(200):
        box = [f"{v:.{random.integers(1, 9)}f}" for v in random.random(4) * 500]
        video = f"v{'x' * random.integers(0, 20)}"
        for _ in range(random.integers(1, 6)):
            score = [repr(random.random()), f"{random.random():.3g}", "1e-05", "7"][random.integers(4)]
            cells = [video, f"{random.integers(0, 5):04d}", *box, str(random.integers(1, 81)), score, "more", ""]
            lines.append(",".join(cells[: random.choice(widths)]))
    return ("\n".join(lines) + "\n").encode()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("widths", [(8,), (7,), (2,), (2, 7, 8), (10,), (2, 7, 9)])
def test_both_ways_give_the_same(layout: Layout, widths: tuple[int, ...]) -> None:
    text = text_of(np.random.default_rng(0), widths)
    if not all(map(layout.takes, widths)):
        assert fast_block(text, 1, layout) is None
        with pytest.raises(DataError, match="columns, expected 2 or 7 or 8"):
            careful_block(PATH, text, 1, layout)
        return
    fast, careful = fast_block(text, 5, layout), careful_block(PATH, text, 5, layout)
    assert fast is not None
    assert rows_of(fast) == rows_of(careful)
    assert keyframes_of(fast) == keyframes_of(careful)
    assert fast.prefixes == careful.prefixes  # in the order in which they come
    assert (fast.lines, fast.first_line) == (careful.lines, careful.first_line)
    assert len(fast.first_row) <= len(careful.first_row)


def test_numbers_are_those_of_python() -> None:
    random = np.random.default_rng(1)
    numbers = [repr(v) for v in (random.random(2000) * 10.0 ** random.integers(-20, 20, 2000)).tolist()]
    numbers += ["0.1", "1", ".5", "5.", "-0.0", "1e-320", "123456789012345678901234567890", "0.30000000000000004"]
    text = "".join(f"v,1,{number},0,1,1,12,{number}\n" for number in numbers).encode()
    block = fast_block(text, 1, Layout())
    assert block is not None
    assert block.scores.tolist() == [float(number) for number in numbers]
    assert block.boxes[block.run_of_row, 0].tolist() == [float(number) for number in numbers]


def test_damaged_text() -> None:
    """pyarrow's way gives what the careful one gives, or nothing; never a row that the careful one refuses."""
    random = np.random.default_rng(0)
    accepted = 0
    for number in range(600):
        layout = LAYOUTS[number % len(LAYOUTS)]
        lines = []
        for _ in range(random.integers(1, 3)):
            box = [f"{v:.{random.choice([1, 3, 6])}f}" for v in random.random(4)]
            for _ in range(random.integers(1, 12)):
                cells = ["v", "0902", *box, f"{random.integers(1, 1200)}", f"{random.random():.9f}"]
                lines.append(",".join(cells))
        text = bytearray(("\n".join(lines) + "\n").encode())
        for _ in range(random.integers(0, 3)):
            text[random.integers(len(text) - 1)] = random.choice(list(b"0129.,,-+e x\n_:/;\t\xe9infa"))
        fast = fast_block(bytes(text), 1, layout)
        if fast is not None:
            careful = careful_block(PATH, bytes(text), 1, layout)
            assert rows_of(fast) == rows_of(careful)
            assert fast.lines == careful.lines
            accepted += 1
    assert 250 < accepted < 550


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_blocks_are_whole_lines_with_their_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    monkeypatch.setattr(ava_csv, "BLOCK_BYTES", 50)
    lines = [f"v{i},0902,0,0,1,1,12,0.5" for i in range(9)]
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbf" + end.join(lines).encode())
    texts = list(read_texts(tmp_path / "a.csv", Layout()))
    assert b"".join(text for text, _ in texts).decode() == "\n".join([*lines, ""])
    assert [line for _, line in texts] == np.cumsum([1, *(text.count(b"\n") for text, _ in texts[:-1])]).tolist()
    assert len(texts) > 3
    (tmp_path / "b.csv").write_bytes(gzip.compress((tmp_path / "a.csv").read_bytes()))
    assert list(read_texts(tmp_path / "b.csv", Layout())) == texts


def test_header_and_empty_lines(tmp_path: Path) -> None:
    layout = Layout(header=True, blank=True)
    path = tmp_path / "a.csv"
    path.write_text("video,time,x1,y1,x2,y2,label,score\n\nv,0902,0,0,1,1,12,0.5\n , \nv,0902,0,0,1,oops,12,0.5\n")
    ((text, line),) = read_texts(path, layout)
    assert line == 2
    with pytest.raises(DataError, match=r"a\.csv:5: y2 is a number, got 'oops'"):
        parse(path, text, line, layout)
    block = parse(path, text.replace(b"oops", b"1"), line, layout)
    assert [block.first_line + row for row in block.rows] == [3, 5]
    for only in ("video,time,x1\n", ""):
        path.write_text(only)
        assert list(read_texts(path, layout)) == []
    path.write_text("v,902,0,0,1,1,12\n")
    assert next(read_texts(path, layout))[1] == 1


@pytest.mark.parametrize(("person", "score"), [("3", 3), ("", 1), ("bob", 1), ("nan", 1), (" 7 ", 7)])
def test_persons(person: str, score: float) -> None:
    text = f"v,1,0,0,1,1,12,{person}\nv,1,0,0,1,1,13,2\n".encode()
    for block in (fast_block(text, 1, LAYOUTS[1]), careful_block(PATH, text, 1, LAYOUTS[1])):
        assert block is not None
        assert block.scores.tolist() == [score, 2]
