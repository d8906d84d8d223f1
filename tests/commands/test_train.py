"""The commands `train` and `test`: which jobs a config reaches, and what wrong ones are told."""

import errno
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from sf_detect.output_lock import OutputLock
from sf_detect.training import recipes

CONFIGS = Path(__file__).parents[2] / "configs"
TINY = CONFIGS / "jhmdb" / "slowfast_tiny.yaml"


@pytest.fixture
def calls(monkeypatch, tmp_path):
    """What the jobs of the default model's recipe were called with, in place of doing them."""
    seen = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(recipes.tiny, "prepare", lambda recipe, say: seen.append(("prepare", recipe)))
    monkeypatch.setattr(recipes.tiny, "train", lambda recipe, say: seen.append(("train", recipe)) or "w.safetensors")
    monkeypatch.setattr(recipes.tiny, "Work", lambda recipe: SimpleNamespace(data=None, folder=None))
    monkeypatch.setattr(recipes, "measure", lambda name, weights, *_, **__: seen.append((name, weights)))
    return seen


def test_train_reaches_the_jobs_of_the_config(sf_detect, calls, capsys):
    assert sf_detect("train", TINY, "batch=3", "optimiser.slow=0.1") == 0
    assert [name for name, _ in calls] == ["prepare", "train"]
    assert calls[1][1].batch == 3
    assert calls[1][1].optimiser.slow == 0.1
    assert capsys.readouterr().out == "wrote w.safetensors\n"


def test_nothing_is_prepared_without_a_teacher(sf_detect, calls):
    assert sf_detect("train", TINY, "loss.distillation=0") == 0
    assert [name for name, _ in calls] == ["train"]


def test_test_takes_the_shipped_weights_or_a_file(sf_detect, calls):
    assert sf_detect("test", TINY) == 0
    assert sf_detect("test", TINY, "--weights", "mine.safetensors") == 0
    assert calls == [("slowfast_tiny_jhmdb", None), ("slowfast_tiny_jhmdb", Path("mine.safetensors"))]


def test_a_recipe_of_one_process_refuses_several(sf_detect, calls, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert sf_detect("train", TINY) == 2
    assert "drop torchrun" in capsys.readouterr().err
    assert not calls


@pytest.mark.parametrize(
    ("content", "overrides", "message"),
    [
        ("recipe: slowfast_tiny_jhmbd\n", (), "Did you mean 'slowfast_tiny_jhmdb'?"),
        ("recipe: slowfast_tiny_jhmdb\nbach: 3\n", (), "Did you mean 'batch'?"),
        ("recipe: slowfast_tiny_jhmdb\n", ("bach=3",), "Did you mean 'batch'?"),
        ("recipe: slowfast_tiny_jhmdb\nbatch: many\n", (), "batch"),
        ("recipe: slowfast_tiny_jhmdb\n", ("batch",), "key=value"),
        ("- 1\n", (), "holds a list"),
    ],
)
@pytest.mark.parametrize("job", ["train", "test"])
def test_bad_configs(sf_detect, calls, tmp_path, capsys, job, content, overrides, message):
    path = tmp_path / "recipe.yaml"
    path.write_text(content)
    assert sf_detect(job, path, *overrides) == 2
    assert message in capsys.readouterr().err
    assert not calls


def test_missing_config(sf_detect, tmp_path, capsys):
    assert sf_detect("train", tmp_path / "none.yaml") == 2
    assert "none.yaml can't be read" in capsys.readouterr().err


def test_runs_as_a_module():
    done = subprocess.run([sys.executable, "-m", "sf_detect", "train", "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "torchrun" in done.stdout


def test_a_second_training_in_the_same_folder_is_refused(sf_detect, calls, tmp_path, capsys):
    first = OutputLock(tmp_path / "mine")
    assert sf_detect("train", TINY, "work=mine") == 2
    assert "work=mine belongs to a training that is still running" in capsys.readouterr().err
    assert calls == []
    first.release()
    assert sf_detect("train", TINY, "work=mine", "loss.distillation=0") == 0
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(sf_detect, calls, tmp_path, capsys):
    (tmp_path / "file").touch()
    assert sf_detect("train", TINY, "work=file/mine") == 2
    assert "work=file/mine can't be written" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device. Expected data"),
        (PermissionError(errno.EACCES, "Permission denied", "a.mp4"), "Permission denied (a.mp4). Expected data"),
    ],
)
@pytest.mark.parametrize("job", ["train", "test"])
def test_disks_that_are_full_or_gone(sf_detect, monkeypatch, tmp_path, capsys, job, error, message):
    def fail(*_):
        raise error

    kind = recipes.RecipeKind(recipes.ClipsRecipe, fail, fail)
    monkeypatch.setitem(recipes.RECIPES, "clips", kind)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipe.yaml").write_text("recipe: clips\n")
    assert sf_detect(job, "recipe.yaml", "work=mine") == 1
    told = capsys.readouterr().err
    assert message in told
    assert "room for files in work=mine" in told
    assert "defect" not in told
