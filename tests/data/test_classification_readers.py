"""Kinetics, Charades and Something-Something v2."""

import json

import cv2
import numpy as np
import pytest

from sf_detect.data.datasets import build_dataset
from sf_detect.data.decoding import read_clip
from sf_detect.errors import ConfigError, DataError
from synthetic_video import index_image, read_index, write_video


@pytest.fixture
def root(tmp_path):
    return tmp_path


def video(root, name, frames=30):
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    return write_video(root / name, frames, 10)


KINETICS = "label,youtube_id,time_start,time_end,split\n"


class TestKinetics:
    def read(self, root, **options):
        return build_dataset("kinetics", {"root": str(root), **options})

    def test_published_csv(self, root):
        (root / "train.csv").write_text(
            KINETICS + "zumba,a-b_c,1,11,train\nabseiling,whole,1,2,train\nzumba,gone,5,15,train\n"
        )
        video(root, "train/zumba/a-b_c_000001_000011.mp4")
        video(root, "whole.mp4")
        data = self.read(root)
        assert (data.name, data.task, data.multi_label) == ("Kinetics-400 train", "classification", False)
        assert data.missing == ("gone_000005_000015",)
        cut, whole = data.samples
        assert (cut.span, cut.labels, whole.span) == (None, ((399,),), (1.0, 2.0))
        assert data.class_names[cut.labels[0][0]] == "zumba"
        assert read_index(read_clip(whole, np.array([0.0]))[0]) == 10

    def test_other_classes_are_those_of_the_csv_or_of_a_file(self, root):
        (root / "val.csv").write_text(KINETICS + "waving a flag,a,0,10,val\nair hockey,a,0,10,val\n")
        video(root, "a.mp4")
        assert self.read(root, split="val").class_names == ("air hockey", "waving a flag")
        (root / "classes.txt").write_text("air hockey\nyawning\n")
        with pytest.raises(DataError, match=r"val\.csv:2: unknown action 'waving a flag'"):
            self.read(root, split="val", classes=str(root / "classes.txt"))

    def test_test_list_has_no_labels(self, root):
        (root / "test.csv").write_text("youtube_id,time_start,time_end,split\na,0,10,test\n")
        video(root, "a.mp4")
        assert self.read(root, split="test").samples[0].labels == ()

    @pytest.mark.parametrize("separator", [" ", ","])
    def test_list_of_files(self, root, separator):
        (root / "train.csv").write_text(f"clips/a b.mp4{separator}7\nclips/gone.mp4{separator}0\n\n")
        video(root, "clips/a b.mp4")
        data = self.read(root)
        assert (data.samples[0].labels, data.missing) == (((7,),), ("clips/gone.mp4",))

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("a.mp4\n", r"train\.csv:1: expected 'path label'"),
            ("a.mp4 400\n", r"train\.csv:1: class '400' is not a number from 0 to 399"),
            (KINETICS + "zumba,a,start,11,train\n", r"train\.csv:2: time_start is a number, got 'start'"),
            (KINETICS + "zumba,a,1\n", r"train\.csv:2: 3 cells, the header has 5"),
            ("label,youtube_id,start\n", r"train\.csv:1: the header lacks time_start, time_end"),
        ],
    )
    def test_malformed_lists(self, root, text, message):
        (root / "train.csv").write_text(text)
        with pytest.raises(DataError, match=message):
            self.read(root)

    def test_missing_list(self, root):
        with pytest.raises(DataError, match=r"train\.csv: does not exist; fetch the list"):
            self.read(root)


CHARADES = "id,subject,scene,quality,relevance,verified,script,objects,descriptions,actions,length\n"


class TestCharades:
    def read(self, root, **options):
        return build_dataset("charades", {"root": str(root), **options})

    @pytest.fixture
    def published(self, root):
        (root / "Charades_v1_train.csv").write_text(
            CHARADES
            + 'AAAAA,S,Kitchen,6,7,Yes,"A person, walking.",x,y,c092 0.50 1.20;c147 0.00 2.90,3.0\n'
            + "BBBBB,S,K,,,No,s,,,,5.1\n"
        )
        video(root, "Charades_v1_480/AAAAA.mp4")
        return root

    def test_videos_with_all_their_actions(self, published):
        data = self.read(published)
        assert (data.name, data.num_classes, data.multi_label) == ("Charades train", 157, True)
        assert data.missing == ("BBBBB",)
        assert data.samples[0].labels == ((92, 147),)

    def test_windows_have_the_actions_that_happen_in_them(self, published):
        first, second = self.read(published, window=1.5).samples
        assert (first.span, second.span) == ((0, 1.5), (1.5, 3))
        assert (first.labels, second.labels) == (((92, 147),), ((147,),))

    def test_class_names(self, published):
        assert self.read(published).class_names[0] == "Holding some clothes"
        path = published / "classes.txt"
        path.write_text("".join(f"c{i:03d} Doing {i}\n" for i in range(157)))
        assert self.read(published, classes=str(path)).class_names[92] == "Doing 92"
        path.write_text("c000 A\nc002 B\n")
        with pytest.raises(DataError, match=r"classes\.txt:2: expected 'c001 NAME'"):
            self.read(published, classes=str(path))
        path.write_text("c000 A\n")
        with pytest.raises(DataError, match="lists 1 classes; Charades has 157"):
            self.read(published, classes=str(path))

    @pytest.mark.parametrize("actions", ["c157 0 1", "walk 0 1", "c001 0"])
    def test_malformed_actions(self, published, actions):
        (published / "Charades_v1_train.csv").write_text(CHARADES + f"AAAAA,,,,,,,,,{actions},3\n")
        with pytest.raises(DataError, match=r"train\.csv:2: expected actions such as"):
            self.read(published)

    def test_list_of_frames(self, root):
        folder = root / "rgb" / "AAAAA"
        folder.mkdir(parents=True)
        for index in range(6):
            cv2.imwrite(str(folder / f"AAAAA-{index + 1:06d}.png"), index_image(index))
        labels = ['"5"', '"5"', '"5,7"', '"7"', '""', '"5"']
        rows = [f"AAAAA 0 {i} AAAAA/AAAAA-{i + 1:06d}.jpg {text}" for i, text in enumerate(labels)]
        (root / "train.csv").write_text("original_vido_id video_id frame_id path labels\n" + "\n".join(rows) + "\n")
        options = {"annotations": str(root / "train.csv"), "fps": 2.0}
        assert self.read(root, **options).samples[0].labels == ((5, 7),)
        samples = self.read(root, **options, window=1.0).samples
        assert [s.labels[0] for s in samples] == [(5,), (5, 7), (5,)]
        assert read_index(read_clip(samples[1], np.array([1.0]))[0]) == 2

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ("AAAAA 0 one a.jpg 5", "expected a frame number"),
            ("AAAAA 0 1 a.jpg five", "expected a frame number and classes"),
            ("AAAAA 0 1 a.jpg 157", "classes are 0 to 156"),
            ("AAAAA 0 1", "expected original_vido_id video_id"),
        ],
    )
    def test_malformed_list_of_frames(self, root, row, message):
        (root / "list.csv").write_text(f"original_vido_id video_id frame_id path labels\n{row}\n")
        with pytest.raises(DataError, match=rf"list\.csv:2: {message}"):
            self.read(root, annotations=str(root / "list.csv"))

    def test_missing_list_and_wrong_window(self, root):
        with pytest.raises(DataError, match=r"Charades_v1_train\.csv: does not exist"):
            self.read(root)
        with pytest.raises(ConfigError, match="window is a positive"):
            self.read(root, window=0)


class TestSomethingSomething:
    def read(self, root, **options):
        return build_dataset("ssv2", {"root": str(root), **options})

    def write(self, root, entries, labels=None, name="train"):
        labels = labels or {"Holding something": "1", "Closing something": "0"}
        (root / "something-something-v2-labels.json").write_text(json.dumps(labels))
        (root / f"something-something-v2-{name}.json").write_text(json.dumps(entries))

    def test_published_lists(self, root):
        entry = {"id": "12", "label": "holding a cup", "template": "Holding [something]", "placeholders": ["a cup"]}
        self.write(root, [entry, {**entry, "id": 13}], name="validation")
        video(root, "20bn-something-something-v2/12.webm".replace("webm", "mkv"))
        data = self.read(root, split="val")
        assert data.class_names == ("Closing something", "Holding something")
        assert (data.samples[0].labels, data.missing) == (((1,),), ("13",))

    def test_published_numbers_without_a_file(self, root):
        (root / "train.json").write_text(
            json.dumps([{"id": "1", "template": "Approaching [something] with your camera"}])
        )
        video(root, "1.mp4")
        data = self.read(root)
        assert (data.num_classes, data.samples[0].labels) == (174, ((0,),))

    def test_test_list_has_no_labels(self, root):
        self.write(root, [{"id": "12"}], name="test")
        video(root, "12.mp4")
        assert self.read(root, split="test").samples[0].labels == ()

    @pytest.mark.parametrize(
        ("entries", "labels", "message"),
        [
            ([{"template": "Holding [something]"}], None, "entry 1 is not"),
            (
                [{"id": "1", "template": "Holdin [something]"}],
                None,
                "entry 1: unknown template 'Holdin something'. Did",
            ),
            ({}, None, "expected a list"),
            ([], {"a": "1", "b": "2"}, "with gaps or twice"),
            ([], {"a": "x"}, "expected an object of template: number"),
        ],
    )
    def test_malformed_lists(self, root, entries, labels, message):
        self.write(root, entries, labels)
        with pytest.raises(DataError, match=message):
            self.read(root)

    def test_not_json_and_missing(self, root):
        with pytest.raises(DataError, match=r"mine\.json: does not exist"):
            self.read(root, classes=str(root / "mine.json"))
        with pytest.raises(DataError, match=r"something-something-v2-train\.json: does not exist; fetch"):
            self.read(root)
        self.write(root, [])
        (root / "something-something-v2-train.json").write_text("[\n{")
        with pytest.raises(DataError, match=r"train\.json:2: is not JSON"):
            self.read(root)
