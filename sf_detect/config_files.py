"""Settings from dataclass defaults, then a YAML file, then `key=value` overrides, for any schema of dataclasses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import reduce
from pathlib import Path
from typing import Any, TypeVar, cast, get_type_hints

from sf_detect.errors import ConfigError, UnknownNameError
from sf_detect.interpolation import refuse_resolvers

C = TypeVar("C")


def load_config(
    schema: type[C], path: Path | str | None = None, overrides: Sequence[str] = (), apart: Sequence[str] = ()
) -> C:
    """Read settings.

    Args:
        schema: A dataclass with defaults, such as `RunConfig`.
        path: YAML file laid over the defaults.
        overrides: `key.subkey=value` strings laid over both.
        apart: Top keys of the file that are no settings of the schema and are read with `read_key`.

    Raises:
        ConfigError: A file that can't be read, a value of the wrong type.
        UnknownNameError: A key that does not exist; suggests the nearest one.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    merged = OmegaConf.structured(schema)
    if path is not None:
        loaded = _read_yaml(Path(path))
        for key in apart:
            loaded.pop(key, None)
        _name_switches(loaded, schema)
        _merge(merged, loaded, schema, str(path))
    for override in overrides:
        given = _read_override(override)
        _name_switches(given, schema)
        _merge(merged, given, schema, f"override {override!r}")
    try:
        return cast(C, OmegaConf.to_object(merged))
    except OmegaConfBaseException as error:  # a reference ${...} that names nothing
        reason = str(error).splitlines()[0]
        raise ConfigError(f"{path or 'overrides'}: {error.full_key or 'value'}: {reason}. Give it a value.") from error


def _read_override(override: str) -> Any:
    import yaml
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    if "=" not in override:
        raise ConfigError(f"override {override!r} is not of the form key=value, for example pipeline.stride=0.25")
    try:
        given = OmegaConf.from_dotlist([override])
    except (yaml.YAMLError, OmegaConfBaseException, RecursionError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"override {override!r} can't be read: {reason}. Give a value such as 0.25.") from error
    refuse_resolvers(OmegaConf.to_container(given, resolve=False), f"override {override!r}")
    return given


def read_key(path: Path | str, key: str, default: str) -> str:
    """The value of a top key of a YAML file, `default` where it has none.

    Raises:
        ConfigError: The file can't be read.
    """
    return str(_read_yaml(Path(path)).get(key, default))


def _read_yaml(path: Path) -> Any:
    import yaml
    from omegaconf import DictConfig, OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        loaded = OmegaConf.load(path)
    except OSError as error:
        raise ConfigError(f"configuration {path} can't be read: {error.strerror}. Check the path.") from error
    except (yaml.YAMLError, UnicodeDecodeError, OmegaConfBaseException, RecursionError, ValueError) as error:
        raise ConfigError(
            f"configuration {path} is not valid YAML: {error}. Compare it with the files in configs/."
        ) from error
    if not isinstance(loaded, DictConfig):
        raise ConfigError(f"configuration {path} holds a list or a single value; expected `key: value` lines.")
    refuse_resolvers(OmegaConf.to_container(loaded, resolve=False), str(path))
    return loaded


def _merge(base: Any, extra: Any, schema: type, where: str) -> None:
    """Lays `extra` over `base`, in place: copying all settings for each override takes most of the time."""
    from omegaconf.errors import ConfigKeyError, OmegaConfBaseException

    try:
        base.merge_with(extra)
    except ConfigKeyError as error:
        key = str(error.full_key)
        raise UnknownNameError(f"key in {where}:", key, _siblings(schema, key)) from error
    except OmegaConfBaseException as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"{where}: {error.full_key or 'value'}: {reason}. Give a value of the documented type."
        ) from error


def _name_switches(given: Any, schema: type) -> None:
    """Turns on and off, which YAML reads as truth values, back into words where words are expected (`tile: off`)."""
    from omegaconf import DictConfig, OmegaConf

    if not isinstance(given, DictConfig):
        return
    hints = get_type_hints(schema)
    for key in list(given):
        if OmegaConf.is_interpolation(given, key) or OmegaConf.is_missing(given, key):
            continue
        hint, value = hints.get(str(key)), given[key]
        if is_dataclass(hint):
            _name_switches(value, cast(type, hint))
        elif isinstance(value, bool) and hint in (str, str | None):
            given[key] = "on" if value else "off"


def _siblings(schema: type, key: str) -> list[str]:
    """Full names of the keys that exist beside `key`."""
    *parents, _ = key.split(".")
    for parent in parents:
        hint = get_type_hints(schema).get(parent)
        if not is_dataclass(hint):
            break
        schema = cast(type, hint)
    prefix = ".".join([*parents, ""]) if parents else ""
    return [prefix + f.name for f in fields(schema)]


def assign(settings: object, given: Mapping[str, Any]) -> None:
    """Sets what was given, by dotted key; what is None was not."""
    for key, value in given.items():
        if value is None:
            continue
        *parents, last = key.split(".")
        setattr(reduce(getattr, parents, settings), last, value)
