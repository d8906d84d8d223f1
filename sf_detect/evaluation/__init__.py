"""Evaluation as the benchmarks do it: AVA, J-HMDB, UCF101-24, MultiSports, Kinetics, Charades, COCO. No torch."""

from sf_detect.evaluation.ava import AvaResult
from sf_detect.evaluation.command import (
    AccuracyResult,
    evaluate_ava,
    evaluate_charades,
    evaluate_kinetics,
)
from sf_detect.evaluation.mean_ap import FrameBoxes, MeanAP, frame_map
from sf_detect.evaluation.persons import person_ap
from sf_detect.evaluation.plots import plot_confusion, write_plots
from sf_detect.evaluation.tube_evaluation import TubeResult, evaluate_tubes

__all__ = [
    "AccuracyResult",
    "AvaResult",
    "FrameBoxes",
    "MeanAP",
    "TubeResult",
    "evaluate_ava",
    "evaluate_charades",
    "evaluate_kinetics",
    "evaluate_tubes",
    "frame_map",
    "person_ap",
    "plot_confusion",
    "write_plots",
]
