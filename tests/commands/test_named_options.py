"""Options that messages and documents name exist."""

from __future__ import annotations

import re
from pathlib import Path

import typer

from sf_detect.cli import app

ROOT = Path(__file__).parents[2]
# Of pip, which we call, and parts of names that are put together.
OTHERS = {"--dest", "--disable-pip-version-check", "--force-reinstall", "--hash", "--no-binary", "--no-deps"}
OTHERS |= {"--no-input", "--only-binary", "--progress-bar", "--require-hashes", "--platform", "--python-version"}
OTHERS |= {"--implementation", "--out-", "--nproc-per-node"}


def options(command) -> set[str]:
    own = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    return own.union(*(options(each) for each in getattr(command, "commands", {}).values()))


def test_options_that_messages_name_exist():
    known = options(typer.main.get_command(app)) | OTHERS | {"--help"}
    named: dict[str, str] = {}
    for path in sorted((ROOT / "sf_detect").rglob("*.py")):
        for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", path.read_text(encoding="utf-8")):
            named.setdefault(option, path.name)
    assert len(named) > 30
    assert {option: name for option, name in named.items() if option not in known} == {}
