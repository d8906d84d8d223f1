"""The shots of the demo clip: who is where when, the frames, and the exact boxes beside them."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from demo_clip.bodies import BodyFactory
from demo_clip.camera import Camera, Sun
from demo_clip.cast import ACTIONS, Actor, actors, bar
from demo_clip.film import Film, Shot, Solid
from sf_detect.atomic_file import atomic_path, write_text

FPS, FRAMES = 30, 240
CAMERA = Camera(width=640, height=480, focal=900, eye=1.5, horizon=190)
SUN = ((-0.50, -0.55, 0.78), (0.3, 7.0, 0.6))


_Studio = tuple[Film, list[Actor]]
_studio: list[_Studio] = []  # one per process; building it takes seconds


def produce(out: Path, stills: list[int] | None, seed: int, workers: int | None, crf: int) -> None:
    """Render the clip and its boxes into a folder, or single frames as PNG.

    Args:
        out: The folder; made where it does not exist.
        stills: Numbers of frames to write as PNG instead of the clip.
        seed: Of the sensor noise; motions and boxes do not depend on it.
        workers: Processes that render; None takes one a core.
        crf: x264 quality, lower is better and larger.
    """
    out.mkdir(parents=True, exist_ok=True)
    numbers = stills or range(FRAMES)
    with multiprocessing.get_context("spawn").Pool(workers, _open_studio, (seed,)) as pool:
        frames = pool.imap(_frame, numbers)
        if not stills:
            film_clip(frames, out, crf)
            return
        for number, (image, _) in zip(numbers, frames, strict=True):
            cv2.imwrite(str(out / f"frame_{number:04d}.png"), image[:, :, ::-1])


def _open_studio(seed: int) -> None:
    _studio.append((Film(CAMERA, Sun(*SUN), seed), actors(BodyFactory())))


def _frame(number: int) -> tuple[np.ndarray, list[dict[str, Any]]]:
    shot, people = shoot(*_studio[0], number)
    return shot.image, people


def film_clip(frames: Iterable[tuple[np.ndarray, list[dict[str, Any]]]], out: Path, crf: int) -> None:
    """Writes frames to ``demo.mp4`` and ``demo_boxes.json`` in a folder; both appear only when complete."""
    boxes = []
    options = {"movflags": "+faststart"}
    with atomic_path(out / "demo.mp4") as video, av.open(str(video), "w", format="mp4", options=options) as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": str(crf), "preset": "medium"})
        stream.width, stream.height, stream.pix_fmt = CAMERA.width, CAMERA.height, "yuv420p"
        for number, (image, people) in enumerate(frames):
            boxes.append(people)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            print(f"\rframe {number + 1}/{FRAMES}", end="", flush=True)
        container.mux(stream.encode())
    print()
    write_text(out / "demo_boxes.json", _boxes_json(boxes))


def shoot(film: Film, cast: list[Actor], number: int) -> tuple[Shot, list[dict[str, Any]]]:
    """One frame and who is in it."""
    staged = [actor.at(number / FPS) for actor in cast]
    present = [(k + 1, solid, action) for k, (solid, action) in enumerate(staged) if _in_view(solid)]
    shot = film.shoot([solid for _, solid, _ in present] + [bar()], number)
    people = []
    for (identity, solid, action), whole, visible, share in zip(
        present, shot.whole, shot.visible, shot.share, strict=False
    ):
        if whole is not None and visible is not None:
            shown = share * _share_in_frame(solid)
            people.append(
                {
                    "id": identity,
                    "box": _rounded(whole),
                    "visible_box": _rounded(visible),
                    "visibility": round(shown, 2),
                    "action": action,
                }
            )
    return shot, people


def _in_view(solid: Solid) -> bool:
    x = CAMERA.project(solid.vertices)[:, 0]
    return bool(x.max() > 0 and x.min() < CAMERA.width)


def _share_in_frame(solid: Solid) -> float:
    x = CAMERA.project(solid.vertices[solid.keep >= 0])[:, 0]
    return float(((x >= 0) & (x < CAMERA.width)).mean())


def _rounded(box: np.ndarray) -> list[float]:
    return [round(float(v), 1) for v in box]


def _boxes_json(frames: list[list[dict[str, Any]]]) -> str:
    head = {"video": "demo.mp4", "fps": FPS, "width": CAMERA.width, "height": CAMERA.height, "actions": ACTIONS}
    lines = ",\n".join(json.dumps(people, separators=(",", ":")) for people in frames)
    return json.dumps(head)[:-1] + ', "frames": [\n' + lines + "\n]}\n"
