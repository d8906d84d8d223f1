"""Numbers out of text: every value equals Python's `float` in every bit."""

import random

import numpy as np
import pytest

from sf_detect.evaluation.decimal_text import PADDING, parse_decimals, parse_integers


def _laid_out(fields: list[bytes]) -> tuple[bytes, np.ndarray, np.ndarray]:
    text, starts, ends = b"#" * PADDING, [], []
    for field in fields:
        starts.append(len(text))
        text += field
        ends.append(len(text))
        text += b","
    text += b"#" * PADDING
    return text, np.array(starts), np.array(ends)


def _random_number(rng: random.Random) -> str:
    kinds = (
        lambda: f"{rng.random():.3f}",
        lambda: f"{rng.random():.9f}",
        lambda: repr(rng.random()),
        lambda: f"{rng.random() * 10 ** rng.randrange(6):.{rng.randrange(15)}f}",
        lambda: str(rng.randrange(10 ** rng.randrange(1, 18))),
        lambda: f"{rng.random() * 1e-6:.{rng.randrange(6)}e}",
        lambda: rng.choice(["-1.5", "+2", ".5", "5.", "00012.5", "123456789012345", "1234567890.12345", " 0.5 "]),
    )
    return rng.choice(kinds)()


@pytest.mark.parametrize("longest", [8, 16, 40])
def test_decimals_equal_float(longest: int) -> None:
    rng = random.Random(longest)
    texts = [text for text in (_random_number(rng) for _ in range(20000)) if len(text) <= longest]
    assert len(texts) > 1000
    values = parse_decimals(*_laid_out([text.encode() for text in texts]))
    np.testing.assert_array_equal(values, [float(text) for text in texts])


@pytest.mark.parametrize("length", range(1, 19))
def test_decimals_written_alike(length: int) -> None:
    """Equal length and the point in one place; a field in between that is written differently changes nothing."""
    rng = random.Random(length)
    for point in [None, *range(length)]:
        texts = ["".join(rng.choices("0123456789", k=length)) for _ in range(30)]
        if point is not None and length > 1:
            texts = [f"{text[:point]}.{text[point + 1 :]}" for text in texts]
        odd = rng.choice(["1.5".zfill(length)[:length], "7".rjust(length)])
        for fields in (texts, [*texts, odd, *texts]):
            values = parse_decimals(*_laid_out([text.encode() for text in fields]))
            np.testing.assert_array_equal(values, [float(text) for text in fields])


def test_integers() -> None:
    texts = [b"0", b"7", b"80", b"00012", b"12345678", b"123456789012", b" 5", b"-3"]
    assert parse_integers(*_laid_out(texts)).tolist() == [0, 7, 80, 12, 12345678, 123456789012, 5, -3]


@pytest.mark.parametrize(
    "text",
    [b"", b".", b"1.2.3", b"abc", b"12a", b"1:2", b"/5", b"12345678..1", b"0.1234567.890123", b"0.1234/6789", b"00x"],
)
@pytest.mark.parametrize("neighbour", [b"1", b"0.123456789", b"0.1", b"123"])
def test_not_a_number(text: bytes, neighbour: bytes) -> None:
    with pytest.raises(ValueError, match="could not convert"):
        parse_decimals(*_laid_out([neighbour, text]))


@pytest.mark.parametrize("text", [b"12.0", b"", b"1e2", b"x"])
def test_not_an_integer(text: bytes) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        parse_integers(*_laid_out([b"1", text]))
