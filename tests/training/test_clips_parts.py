"""Numbers of a recipe that no network or picture can have."""

import pytest

from sf_detect.errors import ConfigError
from sf_detect.models.preprocessing import Preprocessing
from sf_detect.structures import ClipSpec
from sf_detect.training.clips_parts import _check_sides, _clip_spec
from sf_detect.training.clips_recipe import ClipsRecipe, NetworkRecipe, ViewRecipe


@pytest.mark.parametrize("numbers", [{"num_frames": 0}, {"num_frames": 10**9}, {"sampling_rate": -1}])
@pytest.mark.parametrize("extra", [{}, {"keyframe": "last"}])
def test_clips_of_impossible_length(numbers: dict[str, int], extra: dict[str, str]) -> None:
    recipe = ClipsRecipe(network=NetworkRecipe(**numbers, **extra))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=f"network: {next(iter(numbers))} must be positive, at most 4096"):
        _clip_spec(ClipSpec(8, 8), recipe)


@pytest.mark.parametrize("fps", [0.0, -5.0, float("inf"), float("nan")])
def test_impossible_rates(fps: float) -> None:
    with pytest.raises(ConfigError, match=r"network: .*Leave it out"):
        _clip_spec(ClipSpec(8, 8), ClipsRecipe(network=NetworkRecipe(fps=fps)))


@pytest.mark.parametrize("name", ["crop", "short_side", "test_crop"])
@pytest.mark.parametrize("value", [0, -1, 10**9])
def test_pictures_of_impossible_size(name: str, value: int) -> None:
    with pytest.raises(ConfigError, match=rf"views\.{name} is a number of pixels from 1 to 4096, got {value}"):
        _check_sides(ClipsRecipe(views=ViewRecipe(**{name: value})))


def test_preprocessing_of_impossible_values() -> None:
    grey = (0.5, 0.5, 0.5)
    with pytest.raises(ValueError, match="short_side is a positive number"):
        Preprocessing(0, grey, grey)
    for mean, std in ((grey, (0.5, 0.0, 0.5)), (grey, (0.5, float("nan"), 0.5)), ((float("inf"), 0, 0), grey)):
        with pytest.raises(ValueError, match="std is positive and mean finite"):
            Preprocessing(1, mean, std)
