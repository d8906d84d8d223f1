"""The `sf-detect` command: options in, exit code out. The work is done by the rooms it calls.

Exit codes: 0 done; 1 an input, output or weights failed; 2 wrong usage; 3 done, but part of the input could not be
decoded; 130 interrupted, with the outputs complete up to there.
"""

from __future__ import annotations

import os
import sys

import typer

from sf_detect.commands import classify as classify_command
from sf_detect.commands import evaluate as evaluate_command
from sf_detect.commands import run as run_command
from sf_detect.commands import train as train_command
from sf_detect.commands import weights as weights_command
from sf_detect.errors import SFDetectError
from sf_detect.version import __version__

_DEBUG = "SF_DETECT_DEBUG"

app = typer.Typer(
    name="sf-detect",
    help="Who does what, where and when in video.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run", help=run_command.RUN_HELP)(run_command.run)
app.command("demo", help=run_command.DEMO_HELP)(run_command.demo)
app.command("classify", help=classify_command.CLASSIFY_HELP)(classify_command.classify)
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
    try:
        app()
    except SFDetectError as error:
        print(f"sf-detect: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    except BrokenPipeError:  # the reader of our standard output has left, for example `| head`
        sys.stderr.close()
        raise SystemExit(1) from None
    except Exception as error:
        if os.environ.get(_DEBUG):
            raise
        print(
            f"sf-detect: unexpected {type(error).__name__}: {error}. This is a defect: please report it, with the "
            f"output of the same command run with {_DEBUG}=1.",
            file=sys.stderr,
        )
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
