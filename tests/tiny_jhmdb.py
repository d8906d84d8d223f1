"""A J-HMDB of six clips whose pixels tell their frame index."""

from __future__ import annotations

from pathlib import Path

from synthetic_video import write_video

ACTIONS = ("catch", "walk")
FRAMES = 12


def write_tiny_jhmdb(root: Path) -> Path:
    """Writes videos.csv, boxes.csv and videos/; clips 1 and 2 of each action train, clip 3 tests in split 1."""
    videos = ["video_id,action,label,frames,width,height,split1,split2,split3,source_name,fps,decoded_frames"]
    boxes = ["video_id,frame,x1,y1,x2,y2,action"]
    for label, action in enumerate(ACTIONS):
        (root / "videos" / action).mkdir(parents=True)
        for number in (1, 2, 3):
            name = f"{action}_{number:03d}"
            write_video(root / "videos" / action / f"{name}.mp4", FRAMES, 25, (64, 48))
            side = "test" if number == 3 else "train"
            source = f"film{(number + 1) // 2}_{action}_f_cm_np1_ba_bad_{number}"
            videos.append(f"{name},{action},{label},{FRAMES},64,48,{side},train,test,{source},25,{FRAMES}")
            boxes += [f"{name},{frame},{10 + frame},8,{40 + frame},44,{action}" for frame in range(FRAMES)]
    (root / "videos.csv").write_text("\n".join(videos) + "\n")
    (root / "boxes.csv").write_text("\n".join(boxes) + "\n")
    return root
