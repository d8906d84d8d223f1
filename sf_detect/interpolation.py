"""What a setting may refer to: other settings, never the environment or a function."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from sf_detect.errors import ConfigError

# After an even number of backslashes; an odd one makes the text literal.
_BEGINNING = re.compile(r"(?<!\\)(?:\\\\)*\$\{")
_REFERENCE = re.compile(r"(?:\\\\)*\$\{\s*[\w.\-\[\]]+\s*\}")


def refuse_resolvers(settings: object, where: str) -> None:
    """Refuses OmegaConf's `${name:...}`, with which a setting could read the environment or call other code.

    References to another setting (`${model.name}`) pass: they take values of the same settings only.

    Args:
        settings: Lists and mappings, nothing resolved yet.
        where: For the message.

    Raises:
        ConfigError: There is one.
    """
    for key, text in _texts(settings, ""):
        if any(_REFERENCE.match(text, found.start()) is None for found in _BEGINNING.finditer(text)):
            raise ConfigError(
                f"{where}: {key} is {text!r}, which asks for more than the value of another setting. Settings may "
                "refer to each other, as in ${model.name}, but not read the environment or call functions; write the "
                "value itself."
            )


def _texts(settings: object, key: str) -> Iterator[tuple[str, str]]:
    """Every text in nested lists and mappings, names included, with the key it stands at."""
    if isinstance(settings, str):
        yield key, settings
    elif isinstance(settings, Mapping):
        for name, value in settings.items():
            place = f"{key}.{name}" if key else str(name)
            yield from _texts(name, place)
            yield from _texts(value, place)
    elif isinstance(settings, (list, tuple)):
        for number, value in enumerate(settings):
            yield from _texts(value, f"{key}[{number}]")
