"""From settings to body landmarks and postures; see `build`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from sf_detect.config import RunConfig
from sf_detect.engines.engine import Warn, print_warning
from sf_detect.errors import EngineError, MissingExtraError, WeightsError
from sf_detect.interfaces import ActionModel, KeypointEstimator, ResizableModel
from sf_detect.labels import label_set
from sf_detect.model_spec import NO_MODEL, ModelSpec

if TYPE_CHECKING:
    from sf_detect.keypoints.appearance import PictureFeatures, TrackPictures
    from sf_detect.keypoints.estimator import LandmarkNetwork
    from sf_detect.keypoints.finding import PeopleNetwork, PersonSearch
    from sf_detect.keypoints.posture_file import PostureFile

POSTURE_MODES = ("auto", "on", "off")


def with_postures(config: RunConfig, model: ActionModel | None, warn: Warn = print_warning) -> ActionModel | None:
    """The model with postures among its labels, where `config.posture` wants them for it.

    "auto" wants them for models of J-HMDB's actions, which say nothing about people who just stand, sit or lie; it does
    without them, and says so, where the landmark network can't be fetched or run.

    Args:
        config: Settings.
        model: Scores actions; None where there is none.
        warn: Receives what a user should know.

    Raises:
        WeightsError: Postures were asked for, and their weights can't be fetched or read, or do not fit.
        EngineError: Postures were asked for, and no backend runs the landmark network.
    """
    from sf_detect.keypoints.posture_file import SHIPPED, read_posture_file
    from sf_detect.keypoints.stage import PostureModel, ResizablePostureModel

    spec, chosen = NO_MODEL if model is None else model.spec, config.posture
    if isinstance(model, PostureModel) or not _wanted(chosen.mode, spec):
        return model
    if chosen.weights is None and chosen.mode == "auto" and not SHIPPED.is_file():
        return model
    file = read_posture_file(SHIPPED if chosen.weights is None else chosen.weights)
    kind = ResizablePostureModel if isinstance(model, ResizableModel) else PostureModel
    try:
        landmarks = landmark_network(config, warn)
        return kind(model, file.scores_for(spec), landmarks, _pictures(config, file, warn))
    except (WeightsError, EngineError, MissingExtraError) as error:
        if chosen.mode != "auto":
            raise
        warn(f"postures (stand, sit, walk and so on) are left out, actions are not: {error}")
        return model


def _pictures(config: RunConfig, file: PostureFile, warn: Warn) -> Callable[[], TrackPictures] | None:
    """What looks at persons' pictures in a run; None, and a warning, where it can't be had: landmarks do without."""
    from sf_detect.keypoints.appearance import TrackPictures

    if file.appearance is None or not config.posture.appearance:
        return None
    try:
        features = picture_network(config, warn)
    except (WeightsError, EngineError, MissingExtraError) as error:
        warn(f"postures are told from body landmarks alone, and less often right: {error}")
        return None
    return partial(TrackPictures, features, file.appearance, config.keypoints.max_persons)


def picture_network(config: RunConfig, warn: Warn = print_warning) -> PictureFeatures:
    """EfficientNet-Lite0's features of a person's picture, for any number of runs.

    Raises:
        WeightsError: Its weights can't be fetched or read.
        EngineError: No backend runs it.
    """
    from sf_detect.engines import engine_options
    from sf_detect.keypoints.appearance import PictureNetwork
    from sf_detect.keypoints.efficientnet_lite import efficientnet_engine

    return PictureNetwork(efficientnet_engine(engine_options(config.backend, warn=warn)))


def landmark_network(config: RunConfig, warn: Warn = print_warning) -> LandmarkNetwork:
    """BlazePose's landmarks, for any number of runs.

    Raises:
        WeightsError: Its weights can't be fetched or read.
        EngineError: No backend runs it.
    """
    from sf_detect.engines import engine_options
    from sf_detect.keypoints.blazepose import BlazePose, blazepose_engine
    from sf_detect.keypoints.estimator import OneAtATime

    return OneAtATime(BlazePose(blazepose_engine(engine_options(config.backend, warn=warn))))


def people_network(config: RunConfig, warn: Warn = print_warning) -> PeopleNetwork:
    """BlazePose's person detector, for any number of runs.

    Raises:
        WeightsError: Its weights can't be fetched or read.
        EngineError: No backend runs it.
    """
    from sf_detect.engines import engine_options
    from sf_detect.keypoints.blazepose_person import BlazePosePersons, person_engine

    return BlazePosePersons(person_engine(engine_options(config.backend, warn=warn)))


def keypoint_estimators(
    config: RunConfig, model: ActionModel | None, warn: Warn = print_warning
) -> Callable[[], KeypointEstimator] | None:
    """What makes the estimator of a run; None where nobody needs keypoints.

    Raises:
        WeightsError, EngineError: Keypoints were asked for, see `landmark_network`.
    """
    from sf_detect.keypoints.estimator import TrackKeypoints
    from sf_detect.keypoints.holding import HeldKeypoints
    from sf_detect.keypoints.stage import PostureModel

    if isinstance(model, PostureModel):
        network = model.landmarks
    elif config.keypoints.write or config.render.skeleton:
        network = landmark_network(config, warn)
    else:
        return None
    chosen, render = config.keypoints, config.render
    # Postures hardly differ for it; who wants to see landmarks wants those of the very frame.
    sparing = not (chosen.write or render.skeleton or render.anonymise == "head")
    if not chosen.hold:
        return partial(TrackKeypoints, network, chosen.max_persons, sparing)
    search = _search(config, network, warn)
    return partial(HeldKeypoints, network, chosen.max_persons, chosen.hold, sparing, search)


def _search(config: RunConfig, network: LandmarkNetwork, warn: Warn) -> Callable[[], PersonSearch] | None:
    """What looks for people whom the detector misses in a run; None, and a warning, where it can't be had."""
    from sf_detect.detection import weak_scores
    from sf_detect.keypoints.finding import PersonSearch

    detector, keypoints = config.detector, config.keypoints
    # Whoever chooses another detector, or how sure it has to be, means whom it finds.
    if not keypoints.find or weak_scores(detector.name) is None or detector.score_threshold is not None:
        return None
    try:
        people = people_network(config, warn)
    except (WeightsError, EngineError, MissingExtraError) as error:
        warn(f"people whom the detector misses are not looked for: {error}")
        return None
    most = min(keypoints.max_persons, detector.max_persons or keypoints.max_persons)
    return partial(PersonSearch, people, network, most, detector.min_size)


def _wanted(mode: str, spec: ModelSpec) -> bool:
    return mode == "on" or (mode == "auto" and set(spec.labels) == set(label_set("jhmdb21").names))
