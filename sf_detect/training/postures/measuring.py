"""Measures the posture classifier on J-HMDB: by itself, and fused with an action model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from sf_detect.data.jhmdb import JHMDBClip
from sf_detect.keypoints.features import features
from sf_detect.keypoints.fusion import Fusion
from sf_detect.keypoints.looks import SECONDS, Window
from sf_detect.keypoints.network import PostureNetwork
from sf_detect.training.jhmdb.measuring import WINDOW_STEP, FrameScores
from sf_detect.training.postures.examples import LETTERS, NONE
from sf_detect.training.postures.looks import LOOK_STEP, keyframes, part

LOOKS_APART = 3
"""Of the looks along the true boxes, every so many-th: 0.24 s apart, as a run looks."""


def newest_logits(network: PostureNetwork, window: Window, newest: int, apart: int = 1) -> npt.NDArray[np.float32]:
    """Logits (L,) of what a run has seen by look number `newest`."""
    rows = np.arange(newest, -1, -apart)[::-1]
    return network.logits(features(part(window, rows[window.times[rows] >= window.times[newest] - SECONDS])))


def actor_logits(
    network: PostureNetwork, clips: Sequence[JHMDBClip], looks: Mapping[str, Window], last: bool
) -> npt.NDArray[np.float32]:
    """(clips, L) of the actors' true boxes, at the last look or at that nearest to the middle frame."""
    found = []
    for clip in clips:
        window = looks[clip.video_id]
        newest = len(window) - 1 if last else min(clip.num_frames // 2 // LOOK_STEP, len(window) - 1)
        found.append(newest_logits(network, window, newest, LOOKS_APART))
    return np.stack(found)


def track_logits(
    network: PostureNetwork, looks: Mapping[str, Mapping[int, Window]]
) -> dict[str, dict[int, dict[int, npt.NDArray[np.float32]]]]:
    """Logits by video, track and frame of the look."""
    return {
        video: {
            track: {round(window.times[i] * 25): newest_logits(network, window, i) for i in range(len(window))}
            for track, window in tracks.items()
        }
        for video, tracks in looks.items()
    }


def fuse_frames(
    found: FrameScores,
    clips: Sequence[JHMDBClip],
    logits: Mapping[str, Mapping[int, Mapping[int, npt.NDArray[np.float32]]]],
    fusion: Fusion,
) -> FrameScores:
    """The scores of all persons, fused with what was seen of their bodies by the keyframe that their frame belongs to.

    Args:
        found: Of the action model.
        clips: That were measured.
        logits: As `track_logits` returns them.
        fusion: Of the action model's scores with the classifier's.
    """
    actions = np.empty_like(found.actions)
    for row, (video, frame, track) in enumerate(zip(found.video, found.frame, found.track, strict=True)):
        clip = clips[video]
        first = frame // WINDOW_STEP * WINDOW_STEP
        keyframe = min((first + min(first + WINDOW_STEP, clip.num_frames)) // 2, clip.num_frames - 1)
        seen = logits[clip.video_id].get(int(track), {})
        newest = max((look for look in seen if look <= keyframe), default=None)
        scores = found.actions[row].astype(np.float32)
        actions[row] = fusion.without_body(scores) if newest is None else fusion(scores, seen[newest])
    return replace(found, actions=actions)


def posture_figures(
    network: PostureNetwork,
    clips: Sequence[JHMDBClip],
    looks: Mapping[str, Window],
    labels: Mapping[str, str],
    thresholds: npt.NDArray[np.floating],
) -> dict[str, float]:
    """How often a posture is said of J-HMDB's actors on the frames with a certain hand label, and how often rightly."""
    said = right = count = 0
    for clip in clips:
        window = looks[clip.video_id]
        for letter, newest in zip(labels[clip.video_id], (0, len(window) // 2, len(window) - 1), strict=True):
            if len(LETTERS[letter]) > 1 or NONE in LETTERS[letter]:
                continue
            scores = network.postures(newest_logits(network, window, newest, LOOKS_APART))
            best = int(scores.argmax())
            count += 1
            if scores[best] >= thresholds[best]:
                said, right = said + 1, right + (best in LETTERS[letter])
    return {"postures": count, "postures_said": said / max(count, 1), "postures_right": right / max(said, 1)}


__all__ = ["actor_logits", "fuse_frames", "keyframes", "newest_logits", "posture_figures", "track_logits"]
