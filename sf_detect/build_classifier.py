"""From names and settings to a classifier of whole videos; see `build`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from sf_detect import build
from sf_detect.errors import ConfigError

if TYPE_CHECKING:
    from sf_detect.models.classifier import ClipClassifier
    from sf_detect.models.video_views import Views

DEFAULT_CLASSIFIER = "k400_inception_i3d"


def classifier_views(name: str, views: str, weights: str | os.PathLike[str] | None = None) -> Views:
    """How many clips and crops of a video are looked at.

    Args:
        name: Of the zoo.
        views: Such as "4x1", or "published": those of the classifier's published figure.
        weights: A file that is used in place of the published one.

    Raises:
        ConfigError: Other text, or the figure was not measured on clips and crops.
    """
    from sf_detect.models.video_views import Views
    from sf_detect.zoo.table import entry
    from sf_detect.zoo.trained import read_trained

    if views != "published":
        return Views.parse(views)
    own = weights is not None and read_trained(weights) is not None
    if not (published := "" if own else entry(name).views):
        raise ConfigError(
            f"views 'published': no figure of {weights if own else name} was measured on clips and crops. Give "
            "numbers, such as 10x3."
        )
    return Views.parse(published)


def build_classifier(
    name: str = DEFAULT_CLASSIFIER,
    weights: str | os.PathLike[str] | None = None,
    device: str = "cpu",
    labels: str | Path | None = None,
) -> ClipClassifier:
    """A classifier of whole videos with its preprocessing and labels.

    Args:
        name: Of the zoo; not used where `sf-detect train` wrote `weights`: they bring network, input and labels.
        weights: A checkpoint file; None takes the published one.
        device: "cpu", "cuda" or "cuda:N".
        labels: A label set or label file in place of the model's.

    Raises:
        ConfigError: The model scores persons; the labels are not as many as its classes; the device is not there.
        WeightsError: The weights can't be fetched or read, or do not fit.
    """
    from sf_detect.labels import load_labels
    from sf_detect.models.classifier import ClipClassifier
    from sf_detect.zoo.table import entry
    from sf_detect.zoo.trained import read_trained

    own = None if weights is None else read_trained(weights)
    chosen = entry(name) if own is None else own.entry
    if chosen.task != "classification":
        raise ConfigError(
            f"model {chosen.name} scores persons, not whole videos: use it with `sf-detect run`. `classify` needs one "
            f"such as {DEFAULT_CLASSIFIER} (`sf-detect weights list --task classification`)."
        )
    trained = load_labels(chosen.labels) if own is None else own.labels
    names = load_labels(labels).names if labels else trained.names
    if len(names) != len(trained):
        raise ConfigError(
            f"{labels} holds {len(names)} labels; {chosen.name} has {len(trained)} classes. Give as many."
        )
    build.check_device(device)
    return ClipClassifier(
        build.for_inference(build.load_model(name, weights, device) if own is None else own.load(device), device),
        chosen.clip_spec,
        names,
        build.build_preprocessing(chosen),
        crop=chosen.crop,
        loop=chosen.short_video == "loop",
        whole_video=chosen.whole_video,
        view_scores=chosen.view_scores,
        activation=chosen.activation,
        device=device,
        name=name if own is None else Path(own.path).stem,
    )
