"""An interpreter for the opcodes of pickle that keeps every object of the file apart from Python's own classes.

`pickle.Unpickler` with a list of allowed names is not enough: whatever it may construct, a file can also give a state
(`numpy.dtype.__setstate__` makes an object type whose arrays take bytes for pointers), attributes, or a place in a hash
table. Here a name of the file becomes a `Name`, which holds the one function that is called for it; state is taken only
by a `Stateful`; keys are plain values of bounded size; lengths are compared with the bytes that are left; and memory
grows with the file, not with the numbers in it. Opcodes that no checkpoint or annotation needs are refused.

The opcodes are documented in the standard library's module `pickletools`.
"""

from __future__ import annotations

import codecs
import pickle
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sf_detect.pickles.keys import checked_key, set_items

_MAX_OBJECTS = 20_000_000
_MAX_DIGITS = 4000
_MARK = object()


class RefusedNameError(pickle.UnpicklingError):
    """The pickle names a class or function that is not read.

    Args:
        name: Module and name, with a dot between them.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"it asks for {name}, which could run code and is refused")
        self.name = name


@dataclass(frozen=True, eq=False)
class Name:
    """A class or function that a pickle may name.

    Attributes:
        text: For messages.
        call: What happens where the pickle calls it; None where it may only be an argument.
    """

    text: str
    call: Callable[..., Any] | None = None


class Stateful:
    """An object that is complete only when the pickle has given it a state."""

    def with_state(self, state: Any) -> Any:
        """The object that takes its place.

        Raises:
            pickle.UnpicklingError: The state is not of the known kind.
        """
        raise NotImplementedError


class Machine:
    """Reads the pickles of one byte string, one after another.

    Args:
        data: The bytes.
        names: What stands for each (module, name).
        persistent: Called with a persistent id, returns its object; None refuses them.

    Attributes:
        position: Of the first byte behind the pickle that was read last.
    """

    def __init__(
        self,
        data: bytes,
        names: Mapping[tuple[str, str], Name | Any],
        persistent: Callable[[Any], Any] | None = None,
    ) -> None:
        self.position = 0
        self._data, self._names, self._persistent = data, names, persistent
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._places: dict[int, list[int]] = {}  # of objects without their state in the memo, by id
        self._objects = 0

    def load(self) -> Any:
        """The object of the next pickle; text of Python 2 is taken for latin1.

        Raises:
            RefusedNameError: It names something else than `names`.
            pickle.UnpicklingError: It is damaged, or asks for what is not read.
        """
        self._stack, self._memo, self._places = [], {}, {}
        try:
            while (code := self._take(1)[0]) != _STOP:
                opcode = _OPCODES.get(code)
                if opcode is None:
                    raise pickle.UnpicklingError(f"opcode {bytes([code])!r} at byte {self.position - 1} is not read")
                opcode(self)
            result = self._pop()
        except pickle.UnpicklingError:
            raise
        except (IndexError, KeyError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise pickle.UnpicklingError(f"damaged before byte {self.position}: {error}") from error
        except (MemoryError, struct.error) as error:
            raise pickle.UnpicklingError(f"damaged before byte {self.position}: {type(error).__name__}") from error
        return _complete(result)

    # Bytes

    def _take(self, count: int) -> bytes:
        end = self.position + count
        if count < 0 or end > len(self._data):
            left = len(self._data) - self.position
            raise pickle.UnpicklingError(f"it is cut short: {count} bytes at byte {self.position}, {left} are left")
        taken = self._data[self.position : end]
        self.position = end
        return taken

    def _line(self) -> bytes:
        end = self._data.find(b"\n", self.position)
        if end < 0:
            raise pickle.UnpicklingError("it is cut short: a line does not end")
        taken = self._data[self.position : end]
        self.position = end + 1
        return taken

    def _integer(self, size: int, signed: bool = False) -> int:
        return int.from_bytes(self._take(size), "little", signed=signed)

    # The stack

    def _push(self, item: Any) -> None:
        self._stack.append(item)

    def _pop(self) -> Any:
        item = self._stack.pop()
        if item is _MARK:
            raise pickle.UnpicklingError("a mark where an object is expected")
        return item

    def _top(self) -> Any:
        if not self._stack or self._stack[-1] is _MARK:
            raise pickle.UnpicklingError("no object where one is expected")
        return self._stack[-1]

    def _since_mark(self) -> list[Any]:
        items: list[Any] = []
        while (item := self._stack.pop()) is not _MARK:
            items.append(item)
        items.reverse()
        return items

    def _make(self, item: Any, weight: int = 1) -> None:
        """Pushes a new container."""
        self._account(weight)
        self._stack.append(item)

    def _account(self, weight: int) -> None:
        """Bounds what takes a hundred times the memory of its opcode."""
        self._objects += weight
        if self._objects > _MAX_OBJECTS:
            raise pickle.UnpicklingError(f"it holds more than {_MAX_OBJECTS} objects")

    # Opcodes

    def _frame(self) -> None:
        self._take(8)

    def _proto(self) -> None:
        if (version := self._take(1)[0]) > pickle.HIGHEST_PROTOCOL:
            raise pickle.UnpicklingError(f"protocol {version}, expected at most {pickle.HIGHEST_PROTOCOL}")

    def _int_line(self) -> None:
        line = self._line()
        self._push({b"00": False, b"01": True}[line] if line in (b"00", b"01") else _decimal(line))

    def _long_line(self) -> None:
        self._push(_decimal(self._line().removesuffix(b"L")))

    def _float_line(self) -> None:
        self._push(float(self._line()))

    def _double(self) -> None:
        self._push(struct.unpack(">d", self._take(8))[0])

    def _string_line(self) -> None:
        line = self._line().strip()
        if len(line) < 2 or line[0] != line[-1] or line[:1] not in (b"'", b'"'):
            raise pickle.UnpicklingError("a text is not between quotes")
        self._push(codecs.escape_decode(line[1:-1])[0].decode("latin1"))  # type: ignore[attr-defined]

    def _unicode_line(self) -> None:
        self._push(_well_formed(self._line().decode("raw-unicode-escape")))

    def _mark(self) -> None:
        self._stack.append(_MARK)

    def _tuple(self) -> None:
        self._make(tuple(self._since_mark()))

    def _short_tuple(self, count: int) -> None:
        items = [self._pop() for _ in range(count)]
        self._make(tuple(reversed(items)))

    def _list(self) -> None:
        self._make(self._since_mark())

    def _append(self) -> None:
        item = self._pop()
        _require(self._top(), list).append(item)

    def _appends(self) -> None:
        items = self._since_mark()
        _require(self._top(), list).extend(items)

    def _dict(self) -> None:
        items = self._since_mark()
        found: dict[Any, Any] = {}
        set_items(found, items)
        self._make(found)

    def _set_item(self) -> None:
        value, key = self._pop(), self._pop()
        set_items(_require(self._top(), dict), [key, value])

    def _set_all(self) -> None:
        items = self._since_mark()
        set_items(_require(self._top(), dict), items)

    def _add_items(self) -> None:
        items = self._since_mark()
        _require(self._top(), set).update(map(checked_key, items))

    def _frozenset(self) -> None:
        self._make(frozenset(map(checked_key, self._since_mark())), 4)

    def _discard(self) -> None:
        self._stack.pop()

    def _discard_since_mark(self) -> None:
        self._since_mark()

    def _put(self, place: int) -> None:
        item = self._top()
        self._account(1)
        self._memo[place] = item
        if isinstance(item, Stateful):
            self._places.setdefault(id(item), []).append(place)

    def _get(self, place: int) -> None:
        self._push(self._memo[place])

    def _named(self, module: str, name: str) -> None:
        found = self._names.get((module, name))
        if found is None:
            raise RefusedNameError(f"{module}.{name}"[:200])
        self._push(found)

    def _global_line(self) -> None:
        module, name = (self._line().decode("utf-8") for _ in range(2))
        self._named(module, name)

    def _global(self) -> None:
        name, module = self._pop(), self._pop()
        self._named(_require(module, str), _require(name, str))

    def _call(self) -> None:
        arguments, function = _require(self._pop(), tuple), self._pop()
        if not isinstance(function, Name) or function.call is None:
            raise pickle.UnpicklingError("it calls what is no function")
        self._make(function.call(*arguments))

    def _build(self) -> None:
        state, item = self._pop(), self._top()
        if isinstance(item, dict):
            return  # attributes of an OrderedDict: torch keeps version numbers there
        if not isinstance(item, Stateful):
            raise pickle.UnpicklingError(f"it gives a state to {type(item).__name__}")
        self._stack[-1] = complete = item.with_state(state)
        for place in self._places.pop(id(item), ()):
            self._memo[place] = complete

    def _persistent_id(self, identity: Any) -> None:
        if self._persistent is None:
            raise pickle.UnpicklingError("it refers to objects outside of the pickle")
        self._make(self._persistent(identity))


_STOP = ord(".")


def _counted(size: int, make: Callable[[bytes], Any], signed: bool = False) -> Callable[[Machine], None]:
    """An opcode whose length comes before its bytes."""
    return lambda m: m._push(make(m._take(m._integer(size, signed))))


def _long(data: bytes) -> int:
    return int.from_bytes(data, "little", signed=True)


def _utf8(data: bytes) -> str:
    return _well_formed(data.decode("utf-8", "surrogatepass"))


def _latin1(data: bytes) -> str:
    return data.decode("latin1")


def _well_formed(text: str) -> str:
    """Text that can be printed: names of files that are not UTF-8 come with halves of characters."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


_OPCODES: dict[int, Callable[[Machine], None]] = {
    ord(code): run
    for code, run in {
        "\x80": Machine._proto,
        "\x95": Machine._frame,
        "N": lambda m: m._push(None),
        "\x88": lambda m: m._push(True),
        "\x89": lambda m: m._push(False),
        "I": Machine._int_line,
        "L": Machine._long_line,
        "J": lambda m: m._push(m._integer(4, signed=True)),
        "K": lambda m: m._push(m._integer(1)),
        "M": lambda m: m._push(m._integer(2)),
        "\x8a": _counted(1, _long),
        "\x8b": _counted(4, _long, signed=True),
        "F": Machine._float_line,
        "G": Machine._double,
        "S": Machine._string_line,
        "T": _counted(4, _latin1, signed=True),
        "U": _counted(1, _latin1),
        "V": Machine._unicode_line,
        "\x8c": _counted(1, _utf8),
        "X": _counted(4, _utf8),
        "\x8d": _counted(8, _utf8),
        "C": _counted(1, bytes),
        "B": _counted(4, bytes),
        "\x8e": _counted(8, bytes),
        "\x96": _counted(8, bytearray),
        "(": Machine._mark,
        ")": lambda m: m._make(()),
        "t": Machine._tuple,
        "\x85": lambda m: m._short_tuple(1),
        "\x86": lambda m: m._short_tuple(2),
        "\x87": lambda m: m._short_tuple(3),
        "]": lambda m: m._make([]),
        "l": Machine._list,
        "a": Machine._append,
        "e": Machine._appends,
        "}": lambda m: m._make({}),
        "d": Machine._dict,
        "s": Machine._set_item,
        "u": Machine._set_all,
        "\x8f": lambda m: m._make(set(), 4),
        "\x90": Machine._add_items,
        "\x91": Machine._frozenset,
        "0": Machine._discard,
        "1": Machine._discard_since_mark,
        "2": lambda m: m._push(m._top()),
        "p": lambda m: m._put(_decimal(m._line())),
        "q": lambda m: m._put(m._integer(1)),
        "r": lambda m: m._put(m._integer(4)),
        "\x94": lambda m: m._put(len(m._memo)),
        "g": lambda m: m._get(_decimal(m._line())),
        "h": lambda m: m._get(m._integer(1)),
        "j": lambda m: m._get(m._integer(4)),
        "c": Machine._global_line,
        "\x93": Machine._global,
        "R": Machine._call,
        "\x81": Machine._call,
        "b": Machine._build,
        "P": lambda m: m._persistent_id(m._line().decode("ascii")),
        "Q": lambda m: m._persistent_id(m._pop()),
    }.items()
}


def _decimal(line: bytes) -> int:
    if len(line) > _MAX_DIGITS:
        raise pickle.UnpicklingError(f"a number of {len(line)} digits")
    return int(line)


def _require(item: Any, kind: type[Any]) -> Any:
    if type(item) is not kind:
        raise pickle.UnpicklingError(f"{type(item).__name__} where {kind.__name__} is expected")
    return item


def _complete(result: Any) -> Any:
    if isinstance(result, (Stateful, Name)):
        raise pickle.UnpicklingError(f"it holds {type(result).__name__} instead of an object")
    return result
