"""The datasets by name, with the options of each: how a recipe's `data: {name: ava, root: ...}` becomes samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any

from sf_detect.data import ava, charades, jhmdb, kinetics, ssv2, ucf24
from sf_detect.data.samples import ActionDataset
from sf_detect.errors import ConfigError, UnknownNameError
from sf_detect.interpolation import refuse_resolvers


@dataclass(frozen=True)
class Reader:
    """A dataset's reader.

    Attributes:
        options: Dataclass of its options; those without a default must be given.
        read: From the options to the dataset.
    """

    options: type
    read: Callable[[Any], ActionDataset]


DATASETS: Mapping[str, Reader] = {
    "ava": Reader(ava.AvaOptions, ava.read_ava),
    "ava_kinetics": Reader(ava.AvaKineticsOptions, ava.read_ava_kinetics),
    "charades": Reader(charades.CharadesOptions, charades.read_charades),
    "custom": Reader(ava.CustomOptions, ava.read_custom),
    "jhmdb": Reader(jhmdb.JHMDBOptions, jhmdb.read_jhmdb),
    "kinetics": Reader(kinetics.KineticsOptions, kinetics.read_kinetics),
    "ssv2": Reader(ssv2.SSv2Options, ssv2.read_ssv2),
    "ucf24": Reader(ucf24.UCF24Options, ucf24.read_ucf24),
}


def build_dataset(name: str, options: Mapping[str, Any]) -> ActionDataset:
    """Reads a dataset.

    Args:
        name: A key of `DATASETS`.
        options: Fields of its options class, as a configuration file gives them.

    Raises:
        UnknownNameError: No such dataset or option; suggests the nearest.
        ConfigError: A required option is absent, or a value has the wrong type.
        DataError: A file is missing or malformed.
    """
    if name not in DATASETS:
        raise UnknownNameError("dataset", name, DATASETS)
    reader = DATASETS[name]
    return reader.read(dataset_options(name, reader.options, options))


def dataset_options(name: str, schema: type, options: Mapping[str, Any]) -> Any:
    """An instance of `schema` with the values of `options` in their types.

    Raises:
        UnknownNameError, ConfigError: As `build_dataset`.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    known = {f.name: f for f in fields(schema)}
    for key in options:
        if key not in known:
            raise UnknownNameError(f"option of dataset {name}:", str(key), known)
    for key, f in known.items():
        needed = f.default is MISSING and f.default_factory is MISSING
        if needed and options.get(key) is None:
            raise ConfigError(f"dataset {name} needs the option {key!r}, such as {key}=PATH")
    refuse_resolvers(options, f"dataset {name}")
    try:
        merged = OmegaConf.merge(OmegaConf.structured(schema), dict(options))
        return OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"dataset {name}: {error.full_key}: {reason}. Give a value of the documented type."
        ) from error
