"""The exceptions of sf_detect.

    SFDetectError
    ├── ConfigError            a setting, option or name that is not accepted
    │   ├── UnknownNameError   a name looked up in a table (model, detector, label, config key)
    │   └── MissingExtraError  an optional dependency is not installed
    ├── SourceError            a video source
    │   ├── SourceOpenError    cannot be opened, or holds no video
    │   └── DecodeError        opened, but no frame could be decoded
    ├── SinkError              an output cannot be written
    ├── WeightsError           model weights
    │   ├── WeightsFormatError     not a checkpoint, or of a kind that is not read
    │   ├── WeightsMismatchError   names, shapes or types do not fit the network
    │   ├── WeightsHashError       the bytes are not the published ones
    │   └── WeightsDownloadError   cannot be fetched
    ├── DataError              an annotation or dataset file; carries file and line
    ├── TrainingError          a training run that cannot go on
    ├── EngineError            a backend cannot build or run a network
    └── StageError             a pipeline stage failed on a frame

Every message says what failed, what was got, what was expected and what to do next. The command line prints the
message and exits with `exit_code`; a traceback is a defect.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator

from sf_detect.file_names import printable
from sf_detect.redaction import redacted


class SFDetectError(Exception):
    """Base of all errors that sf_detect raises on purpose.

    No message shows the credentials of an address, whoever wrote the text, or holds what a terminal would obey.
    """

    exit_code: int = 1

    def __init__(self, *args: object) -> None:
        super().__init__(*(printable(redacted(arg)) if isinstance(arg, str) else arg for arg in args))


class ConfigError(SFDetectError):
    """A setting, option or argument that is not accepted."""

    exit_code = 2


class UnknownNameError(ConfigError):
    """A name that is not in the table it was looked up in.

    Args:
        kind: What was looked up, as a user would call it ("model", "detector", "label").
        name: The name that was given.
        known: The names that exist.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        super().__init__(f"unknown {kind} {name!r}.{hint} Known: {', '.join(names) or '(none)'}.")
        self.kind, self.name, self.known = kind, name, names


class MissingExtraError(ConfigError):
    """An optional dependency is not installed.

    Args:
        package: The import that failed.
        extra: The extra of sf_detect that brings it.
        purpose: What it is needed for.
    """

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs {package!r}, which is not installed. Install it with: pip install 'sf_detect[{extra}]'"
        )
        self.package, self.extra = package, extra


class SourceError(SFDetectError):
    """A video source failed."""


class SourceOpenError(SourceError):
    """A source that cannot be opened, or that holds no video."""


class DecodeError(SourceError):
    """A source that opened, but of which no frame could be decoded."""


class SinkError(SFDetectError):
    """An output that cannot be written."""

    @classmethod
    def unwritable(cls, what: object, error: Exception) -> SinkError:
        """For an error of the system while `what`, a path, was written."""
        reason = getattr(error, "strerror", None) or error
        return cls(
            f"{what} can't be written: {reason}. Expected a folder with write permission and room; free some space or "
            "choose another place."
        )


class WeightsError(SFDetectError):
    """Model weights that cannot be used."""


class WeightsFormatError(WeightsError):
    """A file that is not a checkpoint, or a checkpoint of a kind that is not read."""


class WeightsMismatchError(WeightsError):
    """Parameter names, shapes or types of numbers that do not fit the network.

    Args:
        what: The checkpoint and the network, for the message.
        missing: Names the network needs and the checkpoint lacks.
        unexpected: Names the checkpoint holds and the network lacks.
        wrong_shape: One line per parameter whose shape differs.
        wrong_type: One line per parameter whose numbers are of another type.
    """

    def __init__(
        self,
        what: str,
        missing: Iterable[str] = (),
        unexpected: Iterable[str] = (),
        wrong_shape: Iterable[str] = (),
        wrong_type: Iterable[str] = (),
    ) -> None:
        self.missing, self.unexpected = sorted(missing), sorted(unexpected)
        self.wrong_shape, self.wrong_type = sorted(wrong_shape), sorted(wrong_type)
        parts = [
            f"{len(names)} {kind}: {', '.join(names[:20])}{', ...' if len(names) > 20 else ''}"
            for kind, names in (
                ("missing", self.missing),
                ("unexpected", self.unexpected),
                ("of another shape", self.wrong_shape),
                ("of another type", self.wrong_type),
            )
            if names
        ]
        super().__init__(
            f"the weights do not fit {what}: {'; '.join(parts)}. Expected exactly the network's parameters. "
            "`sf-detect weights info FILE` tells which model a file fits; only training can start without the head's "
            "(initialise.part=backbone)."
        )


class WeightsHashError(WeightsError):
    """A file whose SHA-256 differs from the published one."""


class WeightsDownloadError(WeightsError):
    """Weights that cannot be fetched."""


class DataError(SFDetectError):
    """An annotation or dataset file that is malformed.

    Args:
        path: The file.
        line: 1-based line number, or None where the whole file is meant.
        problem: What is wrong, what was expected.
    """

    def __init__(self, path: object, line: int | None, problem: str) -> None:
        where = f"{path}:{line}" if line is not None else f"{path}"
        super().__init__(f"{where}: {problem}")
        self.path, self.line, self.problem = path, line, problem


class TrainingError(SFDetectError):
    """A training run that cannot go on, such as one whose loss is no number any more."""


class EngineError(SFDetectError):
    """A network that a backend cannot build or run, or that got inputs which it does not take."""


class StageError(SFDetectError):
    """A pipeline stage failed on a frame; the cause is chained."""


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, then what it comes of, the nearest first."""
    seen = set[int]()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
