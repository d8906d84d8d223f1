"""Decimal numbers out of text, thousands at a time, without a Python object per number.

Eight characters are loaded as one 64-bit word and converted together ("SIMD within a register"): blank what lies
before the field, close the gap of the decimal point, then fold pairs of digits, pairs of pairs, and the two halves.
At most 15 digits fit a float64 exactly, as do the powers of ten up to 22, so one division rounds correctly and the
result equals Python's `float(text)` in every bit. What does not fit (signs, exponents, 17 digits) goes through `float`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]
Positions = npt.NDArray[np.int64]

PADDING = 64
"""Bytes that must precede and follow the text, so that whole words can be loaded at its ends."""

MOST_WORDS = PADDING // 8 - 1
"""That can be loaded behind the end of the text."""

_MOST_DIGITS = 15  # that are exact in a float64


def _repeat(byte: int) -> np.uint64:
    return np.uint64(byte * 0x0101010101010101)


def _word(value: int) -> np.uint64:
    return np.uint64(value & 0xFFFFFFFFFFFFFFFF)


_DOTS, _ZEROS, _ONES, _TOPS, _OVER_NINE = _repeat(0x2E), _repeat(0x30), _repeat(0x01), _repeat(0x80), _repeat(0x76)
_LOWS = _repeat(0x7F)
_PAIRS, _QUADS = np.uint64(0x00FF00FF00FF00FF), np.uint64(0x0000FFFF0000FFFF)
# A dot in byte p leaves 7 - p characters behind it; multiplying 256**p by this puts 7 - p into the highest byte.
_CHARACTERS_BEHIND = np.uint64(0x0706050403020100)
_U1, _U7, _U8, _U16, _U32, _U56 = (np.uint64(n) for n in (1, 7, 8, 16, 32, 56))
_ZERO_CHARACTER = np.uint64(0x30)
# Multiplying by these adds to every byte (pair, quad) the one before it, times 10 (100, 10000).
_FOLD_DIGITS, _FOLD_PAIRS, _FOLD_QUADS = (np.uint64(1 + (10**n << 8 * n)) for n in (1, 2, 4))

# Row n: the n first characters of a word (its lowest bytes) are not part of the field.
_KEEP = np.array([_word(-1 << (8 * n)) for n in range(9)], np.uint64)
_FILL = _ZEROS & ~_KEEP
_POWERS = 10.0 ** np.arange(32)


def words_at(text: bytes, positions: Positions, count: int = 1) -> Words:
    """(N, count) little-endian words: the `8 * count` bytes from each of N positions."""
    bites = np.ndarray((len(text) - 8 * count + 1,), f"V{8 * count}", text, 0, (1,))  # one copy a row, not one a word
    return bites[positions].view("<u8").reshape(-1, count)


def last_byte(text: bytes, byte: int, end: Positions) -> Positions | None:
    """(N,) position of the last `byte` before each `end`, looked for in 24 bytes; None where one has none there.

    The quick look for one common distance can take an earlier one, where the field behind it holds `byte`, too: no
    number does, so parsing that field fails.
    """
    buffer = np.frombuffer(text, np.uint8)
    for distance in range(1, 25):
        if buffer[max(end[0] - distance, 0)] == byte:
            if (buffer[np.maximum(end - distance, 0)] == byte).all():
                return end - distance
            break
    position = np.full(len(end), -1, np.int64)
    missing = np.arange(len(end))
    for step in (8, 16, 24):
        at = end[missing] - step
        word = words_at(text, np.maximum(at, 0))[:, 0] ^ _repeat(byte)
        match = ~(((word & _LOWS) + _LOWS) | word | _LOWS)  # the highest bit of every byte that is equal
        # The exponent of a float is the place of its highest bit; the matches are too sparse to round it up.
        highest = (match.astype(np.float64).view(np.int64) >> 52) - 1023
        there = match != 0
        position[missing[there]] = (at + (highest >> 3))[there]
        missing = missing[~there]
        if not len(missing):
            return position
    return None


def _dot_bit(word: Words) -> Words:
    """The highest bit of the first byte that is a decimal point; 0 where there is none."""
    word = word ^ _DOTS
    zero_bytes = (word - _ONES) & ~word & _TOPS
    return zero_bytes & (~zero_bytes + _U1)


def _without_dot(word: Words, dot: Words, carry: Words | np.uint64) -> Words:
    """`word` with the byte of `dot` taken out: what precedes it moves up, and `carry` enters at the front."""
    below = (dot >> _U7) - _U1
    above = ~((dot << _U1) - _U1)
    return np.where(dot != 0, (word & above) | ((word & below) << _U8) | carry, word)


def _folded(word: Words) -> Words:
    """The value of eight bytes that hold a digit each: pairs of them, pairs of pairs, and the two halves."""
    word = (word * _FOLD_DIGITS >> _U8) & _PAIRS
    word = (word * _FOLD_PAIRS >> _U16) & _QUADS
    return word * _FOLD_QUADS >> _U32


def _digits(word: Words) -> tuple[Words, Words]:
    """The value of eight digit characters, and a word that is non-zero where one of them is no digit."""
    word = word ^ _ZEROS
    return _folded(word), ((word + _OVER_NINE) | word) & _TOPS


def _padded(word: Words, length: Positions) -> Words:
    """The words, zeros in place of what precedes the last `length` characters."""
    missing = np.clip(8 - length, 0, 8)
    return (word & _KEEP[missing]) | _FILL[missing]


def _alike(text: bytes, end: Positions, length: int) -> npt.NDArray[np.float64] | None:
    """Fields of `length` characters with the point where the first has it; None if one is written differently.

    What is the same for all is worked out once: what to expect in each byte, and where the gap is to close.
    """
    before, dot, behind = text[end[0] - length : end[0]].partition(b".")
    if length > 16 or not 0 < len(before) + len(behind) <= _MOST_DIGITS:
        return None
    count = 1 if length <= 8 else 2
    size = 8 * count
    # By byte: the character that gives 0, whether the field has it, and what makes a wrong one reach the highest bit.
    zero = np.frombuffer((b"0" * len(before) + dot + b"0" * len(behind)).rjust(size, b"\0"), "<u8")
    keep = np.frombuffer((b"\xff" * length).rjust(size, b"\0"), "<u8")
    over = np.frombuffer(
        (b"\x76" * len(before) + b"\x7f" * len(dot) + b"\x76" * len(behind)).rjust(size, b"\x7f"), "<u8"
    )
    dot_word, dot_byte = divmod(size - 1 - len(behind), 8) if dot else (-1, 0)
    words = words_at(text, end - size, count)
    values, wrong = np.zeros(len(end)), np.zeros(len(end), np.uint64)
    for i in range(count):
        word = (words[:, i] ^ zero[i]) & keep[i]
        wrong |= (word + over[i]) | word
        if i == dot_word:
            word = (word & ~_KEEP[dot_byte]) << _U8 | (word & _KEEP[dot_byte + 1])
        values *= 1e7 if i == dot_word else 1e8
        values += _folded(word).view(np.int64)
    return None if np.bitwise_or.reduce(wrong) & _TOPS else values / _POWERS[len(behind)]


Parsed = tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]


def _short(text: bytes, end: Positions, length: Positions) -> Parsed:
    """Fields of at most 8 characters: values, and where they are right."""
    word = _padded(words_at(text, end - 8)[:, 0], length)
    dot = _dot_bit(word)
    value, wrong = _digits(_without_dot(word, dot, _ZERO_CHARACTER))
    decimals = ((dot >> _U7) * _CHARACTERS_BEHIND) >> _U56
    return value.astype(np.float64) / _POWERS[decimals], (wrong == 0) & (length > (dot != 0)) & (length <= 8)


def _long(text: bytes, end: Positions, length: Positions) -> Parsed:
    """Fields of at most 16 characters."""
    words = words_at(text, end - 16, 2)
    low, high = _padded(words[:, 1], length), _padded(words[:, 0], length - 8)
    dot_low, dot_high = _dot_bit(low), _dot_bit(high)
    in_low, in_high = dot_low != 0, dot_high != 0
    shifted_high = np.where(in_low, (high << _U8) | _ZERO_CHARACTER, high)
    low = _without_dot(low, dot_low, high >> _U56)
    high = np.where(in_high, _without_dot(high, dot_high, _ZERO_CHARACTER), shifted_high)
    (low_value, low_wrong), (high_value, high_wrong) = _digits(low), _digits(high)
    decimals = (((dot_low | dot_high) >> _U7) * _CHARACTERS_BEHIND) >> _U56
    decimals = decimals + np.where(in_high, _U8, np.uint64(0))
    has_dot = in_low | in_high
    right = ((low_wrong | high_wrong) == 0) & ~(in_low & in_high)
    right &= (length > has_dot) & (length <= _MOST_DIGITS + has_dot)
    value = high_value.astype(np.float64) * 1e8 + low_value.astype(np.float64)
    return value / _POWERS[decimals], right


def parse_decimals(text: bytes, start: Positions, end: Positions) -> npt.NDArray[np.float64]:
    """The float64 values of the fields `text[start:end]`.

    Args:
        text: At least `PADDING` bytes precede the first field and follow the last.
        start, end: (N,) positions of the fields.

    Raises:
        ValueError: A field is not a number.
    """
    length = end - start
    if not len(length):
        return np.zeros(0)
    longest = length.max()
    if longest == length.min():  # often all fields are written alike, with the point in one place
        alike = _alike(text, end, int(longest))
        if alike is not None:
            return alike
    values, right = (_short if longest <= 8 else _long)(text, end, length)
    for i in np.flatnonzero(~right):
        values[i] = float(text[start[i] : end[i]])
    return values


def parse_integers(text: bytes, start: Positions, end: Positions) -> npt.NDArray[np.int64]:
    """The int64 values of the fields `text[start:end]`; arguments as for `parse_decimals`.

    Raises:
        ValueError: A field is not an integer; `12.0` is none.
    """
    length = end - start
    value, wrong = _digits(_padded(words_at(text, end - 8)[:, 0], length))
    values = value.astype(np.int64)
    for i in np.flatnonzero((wrong != 0) | (length < 1) | (length > 8)):
        values[i] = int(text[start[i] : end[i]])
    return values
