"""The `sf-detect` command: options in, exit code out. The work is done by the rooms it calls.

Exit codes: 0 done; 1 an input, output or weights failed; 2 wrong usage; 3 done, but part of the input could not be
decoded; 130 interrupted (143 by SIGTERM, 129 by SIGHUP), with the outputs complete up to there.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import threading
import traceback
from types import TracebackType
from typing import Any

import typer
import typer.core

from sf_detect.commands import annotate as annotate_command
from sf_detect.commands import classify as classify_command
from sf_detect.commands import compact as compact_command
from sf_detect.commands import convert as convert_command
from sf_detect.commands import ending
from sf_detect.commands import evaluate as evaluate_command
from sf_detect.commands import live as live_command
from sf_detect.commands import query as query_command
from sf_detect.commands import run as run_command
from sf_detect.commands import train as train_command
from sf_detect.commands import weights as weights_command
from sf_detect.commands.interruption import Interruption
from sf_detect.errors import SFDetectError, causes
from sf_detect.file_names import printable
from sf_detect.redaction import redacted
from sf_detect.version import __version__

_DEBUG = "SF_DETECT_DEBUG"
_PARTLY_DECODED, _INTERRUPTED = 3, 130
_ERRNOS = ("ENOSPC", "EDQUOT", "EFBIG", "EROFS", "EACCES", "EPERM", "EIO", "ESTALE", "EMFILE", "ENFILE", "ENOMEM")
_OF_THE_MACHINE = {getattr(errno, name) for name in _ERRNOS if hasattr(errno, name)}  # not of this program


class _Commands(typer.core.TyperGroup):
    """Ends by an interruption like by any other exit; Typer would call it an error of its own."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            print("sf-detect: interrupted", file=sys.stderr)
            raise typer.Exit(_INTERRUPTED) from None


app = typer.Typer(
    cls=_Commands,
    name="sf-detect",
    help="Who does what, where and when in video.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run", help=run_command.RUN_HELP)(run_command.run)
app.command("annotate", help=annotate_command.ANNOTATE_HELP)(annotate_command.annotate)
app.command("live", help=live_command.LIVE_HELP)(live_command.live)
app.command("cameras", help=live_command.CAMERAS_HELP)(live_command.cameras)
app.command("demo", help=run_command.DEMO_HELP)(run_command.demo)
app.command("classify", help=classify_command.CLASSIFY_HELP)(classify_command.classify)
app.command("convert", help=convert_command.CONVERT_HELP)(convert_command.convert)
app.command("query", help=query_command.QUERY_HELP)(query_command.query)
app.command("compact", help=compact_command.COMPACT_HELP)(compact_command.compact)
app.command("train", help=train_command.TRAIN_HELP)(train_command.train)
app.command("test", help=train_command.TEST_HELP)(train_command.measure)
app.add_typer(weights_command.app, name="weights")
app.add_typer(evaluate_command.app, name="evaluate")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sf-detect {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),
) -> None:
    """Who does what, where and when in video."""


def main() -> None:
    """Entry point: prints the message of an `SFDetectError` and exits with its code; no traceback."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):  # not every stream is a file
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    before = threading.enumerate()
    with Interruption() as interruption:
        code = _run(interruption)
        if interruption.exit_code is not None and code in (0, _PARTLY_DECODED, _INTERRUPTED):
            code = interruption.exit_code
        ending.leave(code, before)


def _run(interruption: Interruption) -> int:
    """Runs the command; returns its exit code."""
    try:
        app()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:  # before or after the command itself
        return _INTERRUPTED
    except SFDetectError as error:
        _tell(f"sf-detect: {error}")
        return error.exit_code
    except BrokenPipeError:  # the reader of our standard output has left, for example `| head`
        sys.stderr.close()
        return 1
    except Exception as error:
        struck = isinstance(error, OSError) or any(isinstance(cause, KeyboardInterrupt) for cause in causes(error))
        if interruption.exit_code is not None and struck:
            return _INTERRUPTED  # the terminal has gone and what we print with it, or a library made it its own error
        if os.environ.get(_DEBUG):
            sys.excepthook = _show
            raise
        if isinstance(error, OSError) and error.errno in _OF_THE_MACHINE:
            _tell(
                f"sf-detect: {redacted(str(error))}. Expected room and permission for every file that is read or "
                "written; free some space, or use another folder, then run the command again."
            )
            return 1
        _tell(
            f"sf-detect: unexpected {type(error).__name__}: {redacted(str(error))}. This is a defect: please report "
            f"it, with the output of the same command run with {_DEBUG}=1."
        )
        return 1
    return 0


def _show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    _tell(redacted("".join(traceback.format_exception(kind, error, trace)).rstrip()))


def _tell(text: str) -> None:
    with contextlib.suppress(OSError):
        print(printable(text), file=sys.stderr)


if __name__ == "__main__":
    main()
