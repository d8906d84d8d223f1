"""The two jobs of the recipe beyond gathering examples: a trained file, and the figures that a model card states."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sf_detect.atomic_file import write_text
from sf_detect.build import load_predictor
from sf_detect.data.jhmdb import JHMDBClip, grouped_folds
from sf_detect.keypoints.fusion import Fusion
from sf_detect.keypoints.network import POSTURES, PostureNetwork
from sf_detect.keypoints.posture_file import SHIPPED, PostureFile, read_posture_file
from sf_detect.labels import shown_names
from sf_detect.training.jhmdb.measuring import FrameScores, frame_scores, middle_score, score_frames, stream_frames
from sf_detect.training.jhmdb.views import FrameStore
from sf_detect.training.postures import measuring as measures
from sf_detect.training.postures.classifier import as_network, write_classifier
from sf_detect.training.postures.fitting import cross_fitted, fit_fusion, fused
from sf_detect.training.postures.recipe import PostureRecipe, Say, Work, train_appearance, train_networks

#: Postures by AVA's number and name.
AVA = {
    **{"stand": (12, "stand"), "walk": (14, "walk"), "run": (10, "run/jog"), "sit": (11, "sit")},
    **{"bend": (1, "bend/bow (at the waist)"), "crouch": (3, "crouch/kneel")},
    **{"lie": (8, "lie/sleep"), "jump": (7, "jump/leap")},
}


def train(recipe: PostureRecipe, say: Say) -> Path:
    """Trains the classifier, fits its fusion with the action model, and writes the file.

    The fusion is fitted on the test side of the split, on which neither of the two was trained; `test` states its
    figures by cross-validation there.
    """
    work = Work(recipe, say)
    networks = train_networks(work)
    network, clips = as_network(networks), work.clips("test")
    scores, logits = _held_out(work, network, clips)
    labels = np.array([clip.label for clip in clips])
    fusion = fit_fusion(scores["middle"], logits["middle"], labels, recipe.fusion, work.data.labels)
    path = work.folder / "posture.safetensors"
    write_classifier(networks, path, facts(work.data.labels, recipe, fusion), train_appearance(work))
    return path


def facts(actions: list[str], recipe: PostureRecipe, fusion: Fusion) -> dict[str, Any]:
    """The metadata that `posture_file` reads."""
    postures = [
        {
            **{"name": name, "group": "posture", "ava_id": AVA[name][0], "ava_name": AVA[name][1]},
            **{"threshold": threshold, "alone": name in recipe.thresholds.alone},
        }
        for name, threshold in zip(POSTURES, recipe.thresholds.postures, strict=True)
    ]
    names = [{"name": name, "group": "action"} for name in shown_names(actions)]
    entry = {name: getattr(fusion, name) for name in ("action_weight", "body_weight", "none_bias")}
    thresholds = {name: recipe.thresholds.actions.get(name, recipe.thresholds.action) for name in actions}
    return {
        "labels": [*postures, {"name": "none", "group": "posture"}, *names, {"name": "none", "group": "action"}],
        "smoothing": recipe.smoothing,
        "fusion": {
            recipe.action_model: {**entry, "thresholds": thresholds, "alone": [actions[i] for i in fusion.alone]}
        },
    }


def _held_out(
    work: Work, network: PostureNetwork, clips: list[JHMDBClip]
) -> tuple[dict[str, npt.NDArray[np.float32]], dict[str, npt.NDArray[np.float32]]]:
    """Scores of the action model and logits of the classifier for the actors' true boxes, by when they are judged."""
    model = load_predictor(work.recipe.action_model)
    store, looks = FrameStore(work.folder / "frames.npy", work.data.clips), work.looks(clips, "actors")
    scores = {
        "middle": np.stack([middle_score(model, store, clip) for clip in clips]),
        "trailing": np.stack([middle_score(model, store, clip, trailing=True) for clip in clips]),
    }
    logits = {name: measures.actor_logits(network, clips, looks, name == "trailing") for name in scores}
    return scores, logits


def test(recipe: PostureRecipe, weights: Path | None, say: Say) -> dict[str, Any]:
    """Measures a file on the test side of J-HMDB; None takes the recipe's, or that which ships.

    The file's fusion is measured as it is; `..._cross_fitted` figures take weights fitted on other clips.
    """
    work = Work(recipe, say)
    own = work.folder / "posture.safetensors"
    path = weights or (own if own.is_file() else SHIPPED)
    file = read_posture_file(path)
    clips = work.clips("test")
    labels = np.array([clip.label for clip in clips])
    fusion = Fusion.from_metadata(file.metadata, recipe.action_model, work.data.labels)
    figures: dict[str, Any] = {"file": path.name, "split": recipe.split, "clips": len(clips)}
    scores, logits = _held_out(work, file.network, clips)
    folds = grouped_folds(clips, min(4, len(clips)))
    for name in scores:
        body = np.stack([file.network.actions(row) for row in logits[name]])
        figures[f"accuracy_{name}_action_model"] = _accuracy(scores[name], labels)
        figures[f"accuracy_{name}_body"] = _accuracy(body, labels)
        if fusion is not None:
            figures[f"accuracy_{name}_fused"] = _accuracy(fused(fusion, scores[name], logits[name]), labels)
        crossed = cross_fitted(scores[name], logits[name], labels, folds, recipe.fusion, work.data.labels)
        figures[f"accuracy_{name}_cross_fitted"] = _accuracy(crossed, labels)
    looks = work.looks(clips, "actors")
    figures |= measures.posture_figures(file.network, clips, looks, work.labels, np.array(file.thresholds))
    if fusion is not None:
        figures |= _frame_maps(work, file, fusion, clips)
    for name, value in figures.items():
        say(f"{name}: {value:.4f}" if isinstance(value, float) else f"{name}: {value}")
    write_text(work.folder / f"test_postures_split{recipe.split}.json", json.dumps(figures, indent=1) + "\n")
    return figures


def _accuracy(scores: npt.NDArray, labels: npt.NDArray) -> float:
    return float((scores.argmax(axis=1) == labels).mean())


def _frame_maps(work: Work, file: PostureFile, fusion: Fusion, clips: list[JHMDBClip]) -> dict[str, float]:
    """Frame-mAP (ACT's convention, IoU 0.5) of the action model alone and fused, from clips and from a stream."""
    model, persons = load_predictor(work.recipe.action_model), work.persons(clips)
    store = FrameStore(work.folder / "frames.npy", work.data.clips)
    logits = measures.track_logits(file.network, work.track_looks(clips))
    found: Mapping[str, FrameScores] = {
        "": frame_scores(partial(score_frames, model, store), clips, persons, work.say),
        "_streaming": frame_scores(partial(stream_frames, model.open_stream(), store), clips, persons, work.say),
    }
    figures = {}
    for how, alone in found.items():
        for what, scored in (("", alone), ("_fused", measures.fuse_frames(alone, clips, logits, fusion))):
            smooth = scored.smoothed(work.recipe.smoothing)
            each = smooth.mean_ap(work.data.labels, "act", work.recipe.person_exponent)
            figures[f"frame_map_act{how}_smoothed{what}"] = each.mean_ap
    return figures
