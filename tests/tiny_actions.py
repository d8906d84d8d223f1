"""Tiny datasets and a recipe for them: a small SlowFast that learns whether pictures are bright, in seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from synthetic_video import write_video

SIZE = (48, 40)


def write_custom(root: Path, videos: int = 6) -> Path:
    """Own data in AVA's format: two keyframes a video, one or two boxes each; odd videos are bright ("wave")."""
    (root / "videos").mkdir(parents=True)
    (root / "labels.txt").write_text("stand\nwave\n")
    rows = []
    for number in range(videos):
        picture = np.full((SIZE[1], SIZE[0], 3), 220 if number % 2 else 30, np.uint8)
        write_video(root / "videos" / f"v{number}.mp4", 30, 30, SIZE, image=lambda _, p=picture: p)
        action = "wave" if number % 2 else "stand"
        for time in ("0.3", "0.6"):
            rows.append(f"v{number},{time},0.1,0.1,0.7,0.9,{action},1")
            if number % 3 == 0:
                rows.append(f"v{number},{time},0.3,0.2,0.9,0.9,{action},2")
    for split in ("train", "val"):
        (root / f"{split}.csv").write_text("\n".join(rows) + "\n")
    return root


def write_list(root: Path, custom: Path) -> Path:
    """The videos of `write_custom` as lists of files with a class each."""
    root.mkdir()
    videos = sorted((custom / "videos").glob("*.mp4"))
    rows = [f"{path} {number % 2}" for number, path in enumerate(videos)]
    for split in ("train", "val"):
        (root / f"{split}.csv").write_text("\n".join(rows) + "\n")
    return root


def write_charades(root: Path, custom: Path) -> Path:
    """The videos of `write_custom` in Charades' format: everybody does c001, odd videos c002 as well."""
    root.mkdir()
    rows = ["id,actions,length"]
    for number, path in enumerate(sorted((custom / "videos").glob("*.mp4"))):
        rows.append(f"{path.stem},c001 0.00 1.00{';c002 0.10 0.90' if number % 2 else ''},1.00")
    for split in ("train", "test"):
        (root / f"Charades_v1_{split}.csv").write_text("\n".join(rows) + "\n")
    return root


def tiny(work: Path, data: Path, **more: Any) -> list[str]:
    """Overrides that make a recipe on `write_custom` small, quick and without chance."""
    settings: dict[str, Any] = {
        "work": work,
        "data.name": "custom",
        "data.root": data,
        "validation.split": "val",
        "device": "cpu",
        "workers": 0,
        "epochs": 2,
        "batch": 4,
        "log_every": 1,
        "network.name": "ava_slowfast_8x8_r50",
        "network.options": "{depth: [1, 1, 1, 1], width: 8, slow_frames: 2, dropout: 0.0}",
        "network.num_frames": 8,
        "views.crop": 32,
        "views.scales": "[40, 48]",
        "views.short_side": 40,
        "optimiser.rate": 0.05,
        **more,
    }
    return [f"{key}={value}" for key, value in settings.items()]
