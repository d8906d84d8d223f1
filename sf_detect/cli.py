"""The `sf-detect` command: options in, exit code out. The work is done by the rooms it calls.

Exit codes: 0 done; 1 an input, output or weights failed; 2 wrong usage; 3 done, but part of the input could not be
decoded; 130 interrupted, with the outputs complete up to there.
"""

from __future__ import annotations

import sys

import typer

from sf_detect.commands import run as run_command
from sf_detect.commands import weights as weights_command
from sf_detect.errors import SFDetectError
from sf_detect.version import __version__

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
app.add_typer(weights_command.app, name="weights")


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


if __name__ == "__main__":
    main()
