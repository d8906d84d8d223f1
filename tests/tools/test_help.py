"""Every tool and demo tells its options on any machine, with none of the extras installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(
    path
    for folder in ("tools", "demo")
    for path in (ROOT / folder).glob("*.py")
    if "__main__" in path.read_text(encoding="utf-8")
)
EXTRAS = ("matplotlib", "pycocotools", "tensorboard", "anny", "numba", "detectron2", "onnxruntime", "onnx")
"""What only extras bring; each is hidden behind a module that fails to import."""
# One process for all: importing torch once takes as long as all the rest.
DRIVER = """
import contextlib, io, json, os, runpy, sys
answers = {}
for script in sys.argv[1:]:
    out = io.StringIO()
    sys.argv, sys.path[0] = [script, "--help"], os.path.dirname(script)
    with contextlib.redirect_stdout(out):
        try:
            runpy.run_path(script, run_name="__main__")
            code = "no exit"
        except BaseException as end:
            code = end.code if isinstance(end, SystemExit) else repr(end)
    answers[script] = [code, out.getvalue()]
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def without_extras(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hidden")
    for name in EXTRAS:
        (folder / f"{name}.py").write_text(f"raise ModuleNotFoundError('hidden', name={name!r})\n")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}


def test_help_needs_no_extra(without_extras):
    command = [sys.executable, "-c", DRIVER, *map(str, SCRIPTS)]
    found = subprocess.run(command, capture_output=True, text=True, env=without_extras)
    answers = json.loads(found.stdout)
    assert set(answers) == {str(path) for path in SCRIPTS}
    assert {script: code for script, (code, _) in answers.items() if code != 0} == {}
    assert all(printed.startswith("usage:") for _, printed in answers.values())


def test_the_demo_clip_names_its_extra(without_extras):
    script = ROOT / "tools" / "render_demo_clip.py"
    found = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, env=without_extras)
    assert found.returncode == 1
    assert "rendering the demo clip needs 'anny'" in found.stderr
    assert "sf_detect[demo-clip]" in found.stderr
