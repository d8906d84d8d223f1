"""The clip that ships with the package: it opens, and its exact boxes are where the people are."""

from __future__ import annotations

import json
from typing import Any

import av
import numpy as np
import pytest

from sf_detect.assets import DEMO_BOXES, DEMO_VIDEO

JHMDB_ACTIONS = {"walk", "pullup", "clap", "wave", "run"}
STEP = 8  # frames between the ones looked at: enough for a median, and quick


@pytest.fixture(scope="module")
def truth() -> dict[str, Any]:
    return json.loads(DEMO_BOXES.read_text())


@pytest.fixture(scope="module")
def sampled() -> dict[int, np.ndarray]:
    """Every STEP-th frame, RGB, by index; the key -1 holds the number of frames that decode."""
    frames: dict[int, np.ndarray] = {}
    with av.open(str(DEMO_VIDEO)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index % STEP == 0:
                frames[index] = frame.to_ndarray(format="rgb24").astype(np.int16)
    frames[-1] = np.array(index + 1)
    return frames


def _moved(sampled: dict[int, np.ndarray]) -> dict[int, np.ndarray]:
    """Per sampled frame, (H, W) bool: a colour differs from the median over time."""
    frames = {index: image for index, image in sampled.items() if index >= 0}
    background = np.median(np.stack(list(frames.values())), axis=0)
    return {index: (np.abs(image - background) > 18).any(2) for index, image in frames.items()}


def test_clip_is_small_and_of_the_stated_size_rate_and_length(
    truth: dict[str, Any], sampled: dict[int, np.ndarray]
) -> None:
    assert DEMO_VIDEO.stat().st_size < 1_600_000
    with av.open(str(DEMO_VIDEO)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height) == (truth["width"], truth["height"])
        assert stream.average_rate == truth["fps"]
    assert int(sampled[-1]) == len(truth["frames"])


def test_boxes_lie_in_the_frame_and_hold_their_visible_part(truth: dict[str, Any]) -> None:
    for people in truth["frames"]:
        for person in people:
            x0, y0, x1, y1 = person["box"]
            assert 0 <= x0 < x1 <= truth["width"]
            assert 0 <= y0 < y1 <= truth["height"]
            u0, v0, u1, v1 = person["visible_box"]
            assert x0 <= u0 < u1 <= x1
            assert y0 <= v0 < v1 <= y1
            assert 0 <= person["visibility"] <= 1


def test_several_people_do_several_actions(truth: dict[str, Any]) -> None:
    people = [person for frame in truth["frames"] for person in frame]
    assert {person["action"] for person in people} == set(truth["actions"]) == JHMDB_ACTIONS
    assert {person["id"] for person in people} == {1, 2, 3, 4}
    for frame in truth["frames"]:
        assert len({person["id"] for person in frame}) == len(frame) >= 2


def test_boxes_move_smoothly(truth: dict[str, Any]) -> None:
    for before, after in zip(truth["frames"], truth["frames"][1:], strict=False):
        centres = {p["id"]: _centre(p) for p in before if _clear_of_the_edge(p, truth["width"])}
        for person in after:
            if person["id"] in centres and _clear_of_the_edge(person, truth["width"]):
                step = np.abs(_centre(person) - centres[person["id"]])
                assert step.max() < 20, f"track {person['id']} jumps by {step} pixels between frames"


def _centre(person: dict[str, Any]) -> np.ndarray:
    return np.array(person["box"]).reshape(2, 2).mean(0)


def _clear_of_the_edge(person: dict[str, Any], width: int) -> bool:
    return person["box"][0] > 0 and person["box"][2] < width


def test_what_moves_is_inside_the_boxes(truth: dict[str, Any], sampled: dict[int, np.ndarray]) -> None:
    # the two people who cross the picture: the median over time does not hold them
    for index, moved in _moved(sampled).items():
        for person in truth["frames"][index]:
            if person["action"] not in ("walk", "run") or person["visibility"] < 0.8:
                continue
            x0, y0, x1, y1 = (round(v) for v in person["box"])
            assert moved[y0:y1, x0:x1].mean() > 0.30, f"frame {index}: nothing new in the box of track {person['id']}"


def test_boxes_are_tight(truth: dict[str, Any], sampled: dict[int, np.ndarray]) -> None:
    """Just above a walking head, nothing moves; just below the top of the box, something does."""
    checked = 0
    for index, moved in _moved(sampled).items():
        people = truth["frames"][index]
        for person in people:
            if person["action"] != "walk" or person["visibility"] < 0.99 or _meets_another(person, people):
                continue
            x0, y0, x1, _ = (round(v) for v in person["box"])
            assert not moved[y0 - 9 : y0 - 3, x0:x1].any(), (
                f"frame {index}: the box of track {person['id']} cuts its head off"
            )
            assert moved[y0 : y0 + 9, x0:x1].any(), f"frame {index}: the box of track {person['id']} is too high"
            checked += 1
    assert checked >= 4


def _meets_another(person: dict[str, Any], people: list[dict[str, Any]]) -> bool:
    x0, x1 = person["box"][::2]
    return any(
        other["id"] != person["id"] and other["box"][0] < x1 + 4 and x0 - 4 < other["box"][2] for other in people
    )
