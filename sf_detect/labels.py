"""Label sets: which names the columns of a score matrix have, and which ids an annotation file gives them.

Ids count from 1 in every set and every file of ours: csv results, ground truth, label maps. Files that other projects
publish keep their own numbers (J-HMDB's `videos.csv` and Kinetics' lists count from 0, Charades from c000); their
readers turn those into score columns.

Built-in sets ship as text in `assets/labels_*.csv` (`id,name`, in column order). A user's own set is a file, see
`read_label_map`.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from sf_detect.errors import ConfigError, DataError, UnknownNameError

_ASSETS = Path(__file__).parent / "assets"

LABEL_SETS = (
    "ava60",
    "ava80",
    "charades157",
    "jhmdb21",
    "kinetics400",
    "kinetics600",
    "sports1m487",
    "ssv2_174",
    "ucf24",
    "ucf101",
)
"""Names that `label_set` accepts."""

# The 20 AVA v2.2 classes with fewer than 25 instances in validation and test, which the benchmark leaves out.
_AVA_UNSCORED = frozenset({2, 16, 18, 19, 21, 23, 25, 31, 32, 33, 35, 39, 40, 42, 44, 50, 53, 55, 71, 75})


@dataclass(frozen=True)
class LabelMap:
    """The classes of a model or a data set, in the order of the score columns.

    Attributes:
        names: C distinct names.
        ids: The C distinct ids that annotation and result files use, from 1 (AVA 1-80, J-HMDB 1-21).
        from_zero: Whether the file that it was read from counts from 0; every id was then raised by one.

    Raises:
        ConfigError: Not one id per name, a name or an id twice, or an id below 1.
    """

    names: tuple[str, ...]
    ids: tuple[int, ...]
    from_zero: bool = field(default=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(self.names))
        object.__setattr__(self, "ids", tuple(int(i) for i in self.ids))
        if len(self.names) != len(self.ids):
            raise ConfigError(
                f"a label map has one id per name, got {len(self.names)} names and {len(self.ids)} ids. "
                "Give LabelMap.of(names) for ids 1, 2, 3, ..."
            )
        for what, values in (("name", self.names), ("id", self.ids)):
            repeated = _first_repeated(values)
            if repeated is not None:
                raise ConfigError(
                    f"label {what} {repeated!r} occurs twice in a label map. Remove or rename one of them."
                )
        if min(self.ids, default=1) < 1:
            raise ConfigError(
                f"label ids count from 1, got {min(self.ids)} for {self.names[self.ids.index(min(self.ids))]!r}. "
                "Add 1 to every id where a file counts from 0, or give LabelMap.of(names) for ids 1, 2, 3, ..."
            )

    @classmethod
    def of(cls, names: list[str] | tuple[str, ...]) -> LabelMap:
        """A label map with ids 1, 2, 3, ..."""
        return cls(tuple(names), tuple(range(1, len(names) + 1)))

    @classmethod
    def of_file(cls, names: Sequence[str], ids: Sequence[int]) -> LabelMap:
        """A label map with ids as a file gives them, which are all raised by one where the least of them is 0.

        Raises:
            ConfigError: As for the class.
        """
        from_zero = min(ids, default=1) == 0
        return cls(tuple(names), tuple(i + 1 for i in ids) if from_zero else tuple(ids), from_zero)

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __repr__(self) -> str:
        return f"LabelMap({len(self)} classes, ids {min(self.ids, default=0)}-{max(self.ids, default=0)})"

    def name_of(self, label_id: int) -> str:
        """The name of an annotation id.

        Raises:
            UnknownNameError: No class has this id.
        """
        try:
            return self.names[self.ids.index(label_id)]
        except ValueError:
            raise UnknownNameError("label id", str(label_id), map(str, self.ids)) from None

    def index(self, name: str) -> int:
        """The score column of a class name.

        Raises:
            UnknownNameError: No class has this name.
        """
        try:
            return self.names.index(name)
        except ValueError:
            raise UnknownNameError("label", name, self.names) from None


_SHOWN = {"sit": "sit down", "stand": "stand up"}


def shown_names(names: Sequence[str]) -> tuple[str, ...]:
    """Label names as people are to read them.

    J-HMDB's `sit` and `stand` are movements: sitting down and standing up. Its evaluation files keep its names.
    """
    jhmdb = set(names) == set(label_set("jhmdb21").names)
    return tuple(_SHOWN.get(name, name) for name in names) if jhmdb else tuple(names)


def _first_repeated(values: tuple[str, ...] | tuple[int, ...]) -> str | int | None:
    seen: set[str | int] = set()
    for value in values:
        if value in seen:
            return value
        seen.add(value)
    return None


@lru_cache
def label_set(name: str) -> LabelMap:
    """A built-in label set.

    `ava80` and `ava60` are AVA v2.2's full list and the 60 classes of its benchmark (ids 1-80, with gaps); the ids of
    all others are 1, 2, 3, ...: `jhmdb21` J-HMDB, `ucf24` UCF101-24, `ucf101` UCF101, `kinetics400` and `kinetics600`
    Kinetics, all in alphabetical order; `charades157` Charades (c000 is 1), `sports1m487` Sports-1M, `ssv2_174`
    Something-Something v2 (0 of its `labels.json` is 1).

    Raises:
        UnknownNameError: `name` is not in `LABEL_SETS`.
    """
    if name not in LABEL_SETS:
        raise UnknownNameError("label set", name, LABEL_SETS)
    if name == "ava60":
        full = label_set("ava80")
        kept = [(n, i) for n, i in zip(full.names, full.ids, strict=True) if i not in _AVA_UNSCORED]
        return LabelMap(tuple(n for n, _ in kept), tuple(i for _, i in kept))
    return read_label_map(_ASSETS / f"labels_{name}.csv")


def load_labels(name_or_path: str | Path) -> LabelMap:
    """A built-in label set by its name, or a label file by its path.

    Raises:
        UnknownNameError: Neither a built-in name nor an existing file.
        DataError: The file is malformed.
    """
    if str(name_or_path) in LABEL_SETS:
        return label_set(str(name_or_path))
    path = Path(name_or_path)
    if not path.is_file():
        raise UnknownNameError("label set or label file", str(name_or_path), LABEL_SETS)
    return read_label_map(path)


_Entries = Iterator[tuple[int, str, int]]
"""Line, name and id of every class."""

_SUFFIXES = (".txt", ".csv", ".pbtxt")
_MOST_BYTES = 1 << 24
_INTEGER = re.compile(r"-?[0-9]{1,9}")
_BLOCK = re.compile(r"(?:\s|#[^\n]*\n)*(?:label|item)\s*\{")
_NUMBERED = re.compile(r"c?([0-9]{1,9})\s*:\s*(\S.*)")  # `12: stand`
_COUNTED = re.compile(r"c?([0-9]{1,9})[.)]?\s+(\S.*)")  # `12 ApplyLipstick`, `c012 Closing a door`: only in sequence
_CSV = re.compile(r"[0-9]{1,9}\s*,.+|.+,\s*[0-9]{1,9}")


def read_label_map(path: str | Path) -> LabelMap:
    """Reads a label file: `.txt`, `.csv` or `.pbtxt` (also `.pbtxt.txt`). The content says which layout it has.

        blocks      AVA's `label { name: "stand" label_id: 12 }`, TensorFlow's `item { name: "stand" id: 12 }`
        csv         `id,name` or `name,id`, with or without a header
        numbered    `12: stand`; `12 stand` and `c012 stand` where the numbers are a sequence from 0 or 1
        plain       one name per line, whose ids are the lines' numbers

    Ids count from 1. Where the least id of a file is 0, all are raised by one (`LabelMap.from_zero`).

    Raises:
        DataError: Another suffix, not readable, empty, malformed, a negative id, or a name or id that occurs twice.
    """
    path = Path(path)
    if path.suffix.lower() not in _SUFFIXES:
        raise DataError(path, None, f"a label file ends in {', '.join(_SUFFIXES)}, got {path.suffix or 'no suffix'!r}")
    names: dict[str, int] = {}
    ids: set[int] = set()
    for line, name, label_id in _entries(path, _text(path)):
        if name in names or label_id in ids:
            what = f"name {name!r}" if name in names else f"id {label_id}"
            raise DataError(path, line, f"label {what} occurs a second time; names and ids must be distinct")
        if label_id < 0:
            raise DataError(path, line, f"label ids count from 1, got {label_id} for {name!r}")
        names[name] = label_id
        ids.add(label_id)
    if not names:
        raise DataError(path, None, "holds no label; expected at least one")
    return LabelMap.of_file(tuple(names), tuple(names.values()))


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise DataError(path, None, f"is larger than {_MOST_BYTES >> 20} MiB; expected a list of class names")
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(path, None, f"cannot be read as UTF-8 text: {error}") from error


def _entries(path: Path, text: str) -> _Entries:
    """The classes, read by the layout of the text; the suffix decides where the text does not."""
    suffix = path.suffix.lower()
    if suffix == ".pbtxt" or _BLOCK.match(text):
        return _read_pbtxt(path, text)
    lines = [line.strip() for line in text.splitlines()]
    filled = [line for line in lines if line]
    if any(map(_NUMBERED.fullmatch, filled)):
        return _read_numbered(path, lines)
    if suffix == ".csv" or (filled and all(_CSV.fullmatch(line) for line in filled[1:] or filled)):
        return _read_csv(path, text)
    return _read_counted(lines) if _is_sequence(filled) else _read_plain(path, text)


def _read_numbered(path: Path, lines: list[str]) -> _Entries:
    for number, line in enumerate(lines, start=1):
        match = _NUMBERED.fullmatch(line)
        if match is not None:
            yield number, match[2], int(match[1])
        elif line:
            raise DataError(path, number, f"expected 'id: name' such as '12: stand', as in other lines, got {line!r}")


def _is_sequence(lines: list[str]) -> bool:
    """Whether lines are numbered 0, 1, 2, ... or 1, 2, 3, ...; other lists just have names that begin with a number."""
    matches = [match for match in map(_COUNTED.fullmatch, lines) if match is not None]
    numbers = [int(match[1]) for match in matches]
    return (
        bool(numbers)
        and len(numbers) == len(lines)
        and numbers
        in (
            list(range(len(lines))),
            list(range(1, len(lines) + 1)),
        )
    )


def _read_counted(lines: list[str]) -> _Entries:
    for number, line in enumerate(lines, start=1):
        match = _COUNTED.fullmatch(line)
        if match is not None:
            yield number, match[2], int(match[1])


def _read_plain(path: Path, text: str) -> _Entries:
    for number, line in enumerate(text.rstrip().splitlines(), start=1):
        if not line.strip():
            raise DataError(path, number, "an empty line inside the list; expected one label name per line")
        yield number, line.strip(), number


def _read_csv(path: Path, text: str) -> _Entries:
    reader = csv.reader(text.splitlines())
    for row in _rows(path, reader):
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        if len(cells) != 2 or not all(cells):
            raise DataError(path, reader.line_num, f"expected two columns 'id,name' or 'name,id', got {row!r}")
        first_is_id, second_is_id = _is_integer(cells[0]), _is_integer(cells[1])
        if not first_is_id and not second_is_id:
            if reader.line_num == 1:  # a header
                continue
            raise DataError(path, reader.line_num, f"neither column is an integer id: {row!r}")
        yield (reader.line_num, cells[1], int(cells[0])) if first_is_id else (reader.line_num, cells[0], int(cells[1]))


def _rows(path: Path, reader: Any) -> Iterator[list[str]]:
    try:
        yield from reader
    except csv.Error as error:
        raise DataError(path, reader.line_num, f"is not comma-separated text: {error}") from error


def _is_integer(text: str) -> bool:
    return _INTEGER.fullmatch(text) is not None


_PBTXT_TOKEN = re.compile(
    r"""(?P<space>[\s,;]+|\#[^\n]*)|(?P<word>[A-Za-z_]\w*)|(?P<number>-?\d+)|(?P<mark>[{}:])
    |(?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')""",
    re.VERBOSE,
)


def _pbtxt_tokens(path: Path, text: str) -> Iterator[tuple[int, str, str]]:
    position = 0
    while position < len(text):
        match = _PBTXT_TOKEN.match(text, position)
        line = text.count("\n", 0, position) + 1
        if match is None:
            raise DataError(path, line, f"not a label map: cannot read {text[position : position + 20]!r}")
        if match.lastgroup != "space":
            yield line, str(match.lastgroup), match.group()
        position = match.end()


def _read_pbtxt(path: Path, text: str) -> _Entries:
    """Blocks `label {..}` or `item {..}` of `field: value`; other fields (label_type, display_name) are passed over."""
    tokens = _pbtxt_tokens(path, text)
    for line, kind, value in tokens:
        if kind != "word" or next(tokens, (0, "", ""))[2] != "{":
            raise DataError(path, line, f"expected a block such as 'item {{ name: \"walk\" id: 14 }}', got {value!r}")
        fields = _pbtxt_fields(path, line, tokens)
        label_id = fields.get("id", fields.get("label_id"))
        if "name" not in fields or label_id is None or not _is_integer(label_id):
            raise DataError(path, line, f"a label block needs 'name' and an integer 'id' or 'label_id', got {fields}")
        yield line, fields["name"], int(label_id)


def _pbtxt_fields(path: Path, start: int, tokens: Iterator[tuple[int, str, str]]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line, kind, key in tokens:
        if key == "}" and kind == "mark":
            return fields
        colon, value = next(tokens, None), next(tokens, None)
        if kind != "word" or colon is None or colon[2] != ":" or value is None or value[1] == "mark":
            raise DataError(path, line, f"expected 'field: value' inside a label block, got {key!r}")
        fields[key] = re.sub(r"\\(.)", r"\1", value[2][1:-1]) if value[1] == "text" else value[2]
    raise DataError(path, start, "a label block is not closed; expected '}' before the end of the file")
