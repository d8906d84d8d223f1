"""`sf-detect train` and `sf-detect test`: a recipe of configs/ in, weights or figures out."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sf_detect.atomic_file import DISK_FULL
from sf_detect.config_files import load_config, read_key
from sf_detect.errors import ConfigError, TrainingError
from sf_detect.output_lock import OutputLock

if TYPE_CHECKING:
    from sf_detect.training.recipes import RecipeKind

DEFAULT_RECIPE = "clips"
_FULL = {*DISK_FULL, errno.EFBIG}

Config = Annotated[Path, typer.Argument(help="A recipe, a YAML file such as those in configs/.", metavar="CONFIG")]
Overrides = Annotated[
    list[str] | None, typer.Argument(help="Settings that differ from the recipe.", metavar="[KEY=VALUE ...]")
]

TRAIN_HELP = """Train a network by a recipe; continue where an interrupted run stopped.

Examples:

    sf-detect train configs/jhmdb/slowfast_tiny.yaml data=DIR

    torchrun --nproc-per-node=2 -m sf_detect train configs/ava/slowfast_8x8_r50.yaml
"""
TEST_HELP = """Measure the weights that a recipe trained, or those of a file.

Examples:

    sf-detect test configs/jhmdb/slowfast_tiny.yaml data=DIR

    sf-detect test configs/ava/slowfast_8x8_r50.yaml --weights SLOWFAST_8x8_R50_DETECTION.pyth
"""


def load_recipe(config: Path, overrides: list[str] | None = None) -> tuple[RecipeKind, Any]:
    """The kind of a recipe file and its settings.

    Raises:
        ConfigError: The file can't be read, or holds a value of the wrong type.
        UnknownNameError: A kind of recipe or a key that does not exist.
    """
    from sf_detect.training.recipes import recipe_kind

    kind = recipe_kind(read_key(config, "recipe", DEFAULT_RECIPE))
    return kind, load_config(kind.schema, config, overrides or (), apart=("recipe",))


def _say(text: str) -> None:
    """Prints from one process only."""
    if os.environ.get("RANK", "0") == "0":
        typer.echo(text)


def train(config: Config, overrides: Overrides = None) -> None:
    """See `TRAIN_HELP`."""
    kind, recipe = load_recipe(config, overrides)
    with _alone(Path(recipe.work)), _files_fail(recipe.work):
        _say(f"wrote {kind.train(recipe, _say)}")


@contextmanager
def _files_fail(work: str) -> Iterator[None]:
    """A disk that is full or gone is no defect, and what was learned is not lost."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno not in _FULL:
            raise  # of a pipe or a terminal, which are no files
        where = "" if error.filename is None else f" ({error.filename})"
        raise TrainingError(
            f"{error.strerror or error}{where}. Expected data that can be read and room for files in work={work}; "
            "mend that and run the same command again: a training continues from its last checkpoint."
        ) from error


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keeps a second training out of the folder; of the processes of one training, the leading one does."""
    if os.environ.get("RANK", "0") != "0":
        yield
        return
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = OutputLock(folder)
    except BlockingIOError as error:
        raise ConfigError(
            f"work={folder} belongs to a training that is still running. Wait for its end, or choose another folder."
        ) from error
    except OSError as error:
        raise ConfigError(f"work={folder} can't be written: {error.strerror}. Choose another folder.") from error
    try:
        yield
    finally:
        lock.release()


def measure(
    config: Config,
    overrides: Overrides = None,
    weights: Annotated[
        Path | None, typer.Option(help="A checkpoint instead of the recipe's own result.", metavar="FILE")
    ] = None,
) -> None:
    """See `TEST_HELP`."""
    kind, recipe = load_recipe(config, overrides)
    with _files_fail(recipe.work):
        kind.test(recipe, weights, _say)
