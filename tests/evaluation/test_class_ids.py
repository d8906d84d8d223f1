"""One convention of class ids: a perfect run scores 1 by csv and by JSON Lines, whatever set its classes are of."""

from pathlib import Path

import numpy as np
import pytest

from sf_detect.evaluation.command import evaluate_ava
from sf_detect.keypoints.postures import PostureScores
from sf_detect.labels import LABEL_SETS, LabelMap, load_labels, shown_names
from sf_detect.model_spec import ModelSpec
from sf_detect.sinks.ava_csv import AvaCsvSink
from sf_detect.sinks.json_lines import JsonLinesSink
from sf_detect.structures import ActionDetections, ClipSpec, Detections, Frame, FrameResult

BOXES = np.array([[10, 10, 60, 90], [100, 20, 150, 80]], np.float32)


def _perfect_run(labels: LabelMap, folder: Path, written: ModelSpec | None = None) -> None:
    """Two persons a keyframe, each of a class of its own; ground truth that counts classes from 1.

    `written` are the labels of the run, if it has more or names them otherwise; the first are those of the truth.
    """
    spec = written or ModelSpec("m", labels.names, ClipSpec(8, 2), label_ids=labels.ids)
    sinks = (
        AvaCsvSink(folder / "d.csv", "v", spec.labels, spec.label_ids),
        JsonLinesSink(folder / "d.jsonl", "v", spec.labels, groups=spec.groups),
    )
    truth = []
    for keyframe in range((len(labels) + 1) // 2):
        scores = np.full((2, len(spec.labels)), 0.02, np.float32)
        for person, column in enumerate((2 * keyframe, min(2 * keyframe + 1, len(labels) - 1))):
            scores[person, column] = 0.9
            box = BOXES[person] / [200, 100, 200, 100]
            truth.append(f"v,{keyframe:04d},{','.join(f'{v:.3f}' for v in box)},{labels.ids[column]}\n")
        persons = Detections(BOXES, np.ones(2, np.float32), np.arange(2))
        frame = Frame(np.zeros((100, 200, 3), np.uint8), keyframe, float(keyframe))
        result = FrameResult(frame, persons, ActionDetections(float(keyframe), persons, scores), True)
        for sink in sinks:
            sink.write(result)
    for sink in sinks:
        sink.close()
    (folder / "g.csv").write_text("".join(truth))


def _scores(folder: Path, label_map: str | Path) -> tuple[float, float]:
    by_csv = evaluate_ava(folder / "g.csv", folder / "d.csv", None, label_map, "pyslowfast")
    by_lines = evaluate_ava(folder / "g.csv", folder / "d.jsonl", None, label_map, "pyslowfast")
    return by_csv.mean_ap, by_lines.mean_ap


@pytest.mark.parametrize("name", sorted(set(LABEL_SETS) - {"sports1m487", "kinetics600"}))
def test_built_in_sets(name: str, tmp_path: Path) -> None:
    labels = load_labels(name)
    assert min(labels.ids) == 1
    _perfect_run(labels, tmp_path)
    assert _scores(tmp_path, name) == (1, 1)


def test_a_run_with_postures_is_evaluated_by_its_actions(tmp_path: Path) -> None:
    labels = load_labels("jhmdb21")
    spec = ModelSpec("m", shown_names(labels.names), ClipSpec(8, 2))
    with_postures = PostureScores(spec, lambda window: window, lambda logits: logits, (0.5,) * 8).spec
    assert len(with_postures.labels) == 26
    _perfect_run(labels, tmp_path, with_postures)
    assert _scores(tmp_path, "jhmdb21") == (1, 1)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("own.txt", "walk\nrun\njump\n"),
        ("own.txt", "4: walk\n2: run\n9: jump\n"),
        ("own.csv", "id,name\n1,walk\n2,run\n3,jump\n"),
        ("own.csv", "0,walk\n1,run\n2,jump\n"),
        ("own.pbtxt", "item { name: 'walk' id: 7 } item { name: 'run' id: 3 }"),
    ],
)
def test_own_files(file: str, text: str, tmp_path: Path) -> None:
    (tmp_path / file).write_text(text)
    labels = load_labels(tmp_path / file)
    _perfect_run(labels, tmp_path)
    assert _scores(tmp_path, tmp_path / file) == (1, 1)
