import numpy as np
import pytest

from sf_detect.data.checking import check_dataset, in_words, spread
from sf_detect.data.samples import ActionDataset, ClipSample
from synthetic_video import cut_short, write_video

NAMES = ("wave", "pick up", "walk")


@pytest.fixture
def video(tmp_path):
    return write_video(tmp_path / "hall.mp4", 30, 10)


def dataset(samples, task="detection", multi_label=False, missing=()):
    return ActionDataset("mine", task, samples, NAMES, (1, 2, 3), multi_label, missing)


def person(path, keyframe=1.0, box=(0.1, 0.2, 0.5, 0.9), labels=(0,), video_id="hall"):
    return ClipSample(video_id, path, keyframe, boxes=np.array([box]), labels=(labels,))


def test_nothing_wrong(video):
    report = check_dataset(dataset([person(video), person(video, 2.0, labels=(1,)), person(video, 2.9, labels=())]))
    assert report.problems == {}
    assert report.notes == {"classes that never occur": ["walk"]}
    assert (report.counts.tolist(), report.persons, report.unlabelled, report.videos) == ([1, 1, 0], 3, 1, 1)
    text = in_words(report)
    assert "mine: 3 samples, 3 persons (1 without an action), 3 classes, 1 videos opened" in text
    assert "Note: 1 classes that never occur\n    walk" in text
    assert text.endswith("No problem found.")


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"box": (0.1, 0.2, 1.2, 0.9)}, "boxes outside the frame", "hall at 1 s: [0.1"),
        ({"box": (0.1, 0.2, 0.1, 0.9)}, "boxes without area", "hall at 1 s"),
        ({"labels": (3,)}, "unknown classes", "hall at 1 s: [3]"),
        ({"labels": (0, 1)}, "several actions where one is allowed", "hall at 1 s: wave, pick up"),
        ({"keyframe": 4.0}, "times outside the video", "hall at 4 s: the file covers 0 to 3.000 s"),
        ({"keyframe": -1.0}, "times outside the video", "hall at -1 s"),
    ],
)
def test_what_is_wrong_is_found(video, change, kind, message):
    report = check_dataset(dataset([person(video), person(video, **change)]))
    assert list(report.problems) == [kind]
    assert report.problems[kind][0].startswith(message)
    assert f"Problem: 1 {kind}" in in_words(report)


def test_small_boxes_are_noted_and_several_actions_allowed(video):
    report = check_dataset(dataset([person(video, box=(0.1, 0.1, 0.104, 0.5), labels=(0, 1))], multi_label=True))
    assert report.problems == {}
    assert len(report.notes["very small boxes"]) == 1


def test_videos_that_do_not_open_or_decode_and_missing_ones(tmp_path, video):
    (tmp_path / "text.mp4").write_text("no video")
    cut = cut_short(write_video(tmp_path / "cut.mp4", 200, 10, (128, 96), faststart=True), 0.5)
    samples = [person(video), person(tmp_path / "text.mp4"), person(cut, 19.0, video_id="cut")]
    report = check_dataset(dataset(samples, missing=("gone",)), workers=1)
    assert report.problems["missing videos"] == ["gone"]
    assert "text.mp4" in report.problems["videos that can't be opened"][0]
    assert report.problems["no frame near the labelled time"][0].startswith("cut at 19 s: the nearest decodes")
    assert "3 problems." in in_words(report)


def test_long_lists_are_cut(video):
    report = check_dataset(dataset([person(video, 10.0 + i) for i in range(9)]))
    assert "... and 4 more" in in_words(report)


def test_only_some_videos(tmp_path):
    samples = [person(write_video(tmp_path / f"{i}.mp4", 15, 10), video_id=str(i)) for i in range(4)]
    assert check_dataset(dataset(samples), videos=2).videos == 2


def test_classification(video):
    samples = [
        ClipSample("a", video, labels=((0,),)),
        ClipSample("b", video, span=(1.0, 2.0), labels=((2,),)),
        ClipSample("c", video, span=(2.0, 9.0), labels=()),
    ]
    report = check_dataset(dataset(samples, "classification"))
    assert report.problems == {"times outside the video": ["c at 2-9 s: the file covers 0 to 3.000 s"]}
    assert (report.persons, report.unlabelled) == (3, 1)


def test_a_look_shows_many_classes_and_videos(video):
    samples = [person(video, 0.1 * i, labels=(0,), video_id=f"v{i}") for i in range(20)]
    samples.append(person(video, 2.5, labels=(1,)))
    chosen = spread(dataset(samples), 3)
    assert {c for s in chosen for c in s.labels[0]} == {0, 1}
    assert len({s.video_id for s in chosen}) == 3
    assert spread(dataset(samples), 3) == chosen
    assert len(spread(dataset(samples), 99)) == 21
