"""Files that were damaged or made to do harm: a result or one error of ours, never a crash, never much memory."""

from __future__ import annotations

import io
import json
import pickle
import random
import struct
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save

from tests.pickles import crafted
from tests.weights import graph_writer as graph

pytestmark = pytest.mark.timeout(600)  # a busy machine

SEED = 20
MOST_MEGABYTES = 700


def write(folder: Path, files: dict[str, bytes], suffix: str) -> None:
    folder.mkdir(exist_ok=True)
    for number, content in enumerate(files.values()):
        (folder / f"{number:04d}{suffix}").write_bytes(content)


def torch_bytes(content: object, zipped: bool = True) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream, _use_new_zipfile_serialization=zipped)
    return stream.getvalue()


def described(**changes: object) -> dict[str, str]:
    """The metadata of a trained file."""
    stated = {
        "num_frames": 16,
        "sampling_rate": 2,
        "fps": 25.0,
        "keyframe": "last",
        "alpha": 4,
        "slow_index_rule": "last",
        "short_side": 128,
        "mean": [0.4, 0.5, 0.6],
        "std": [0.2, 0.2, 0.2],
        "channel_order": "rgb",
        "activation": "softmax",
        **changes,
    }
    labels = {"labels": '["clap", "wave"]', "label_ids": "[1, 2]", "thresholds": "[0.5, 0.5]"}
    return {"model": "slowfast_tiny_jhmdb", "options": "{}", "input": json.dumps(stated), **labels}


def originals() -> dict[str, dict[str, bytes]]:
    """Good files by suffix."""
    state = {"weight": torch.ones(3, 2), "bias": torch.zeros(3)}
    content = {
        "model_state": state,
        "epoch": 3,
        "best": np.float64(0.5),
        "rows": np.arange(3),
        "cfg": "NUM_FRAMES: 8\n",
    }
    scores = io.BytesIO()
    np.savez(scores, videos=np.array(["a", "b"]), scores=np.ones((2, 3)))
    packed = io.BytesIO()
    np.savez_compressed(packed, videos=np.array(["a", "b"]), scores=np.ones((2, 3), np.float32))
    eight = {"weight": torch.ones(3, 2, dtype=torch.int8), "weight.int8_scale": torch.ones(3), "bias": torch.zeros(3)}
    fill = graph.node("fill", "Const", graph.tensor(1, graph.shape(4, 5), graph.field(5, struct.pack("<f", 2.0))))
    nodes = graph.constant("a", np.ones((2, 3), np.float32)) + graph.constant("b", np.arange(4)) + fill
    return {
        ".pkl": crafted.legitimate(),
        ".pth": {"zip": torch_bytes(content), "legacy": torch_bytes(content, False), "plain": torch_bytes(state)},
        ".safetensors": {"plain": save(state, described()), "int8": save(eight, {"input": "{}"})},
        ".pb": {"graph": nodes},
        ".npz": {"stored": scores.getvalue(), "packed": packed.getvalue()},
    }


def mutated(content: bytes, chance: random.Random) -> bytes:
    """One to three changes of the kinds that break readers."""
    data = bytearray(content)
    for _ in range(chance.randint(1, 3)):
        place = chance.randrange(len(data) + 1)
        kind = chance.randrange(7)
        if kind == 0:
            del data[place:]
        elif kind == 1:
            data[place : place + 1] = bytes([chance.randrange(256)])
        elif kind == 2:
            data[place : place + 4] = chance.choice((b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", bytes(4)))
        elif kind == 3:
            data[place : place + 8] = chance.choice((b"\xff" * 8, b"\xff" * 7 + b"\x7f", bytes(8)))
        elif kind == 4:
            data[place:place] = data[chance.randrange(len(data) + 1) :][: chance.randrange(64)]
        elif kind == 5:
            data[place:place] = chance.choice([*crafted.OBJECTS.values()])[:200]
        else:
            del data[place : place + chance.randrange(16)]
        if not data:
            break
    return bytes(data)


def mutated_files(folder: Path) -> None:
    chance = random.Random(SEED)
    for suffix, files in originals().items():
        made = {f"{name} {i}": mutated(data, chance) for name, data in files.items() for i in range(200 // len(files))}
        write(folder, {**files, **made}, suffix)


def rewritten(content: bytes, change: Callable[[str, bytes], tuple[str, bytes] | None], **options: int) -> bytes:
    """A zip archive whose members were changed, left out or packed."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(stream, "w", **options) as target:
        for name in source.namelist():
            member = change(name, source.read(name))
            if member is not None:
                target.writestr(*member)
    return stream.getvalue()


def zip_files() -> dict[str, bytes]:
    """PyTorch files whose archive, not whose pickle, is wrong."""
    good = torch_bytes({"weight": torch.ones(3, 2), "bias": torch.zeros(3)})
    many = torch_bytes({"weight": torch.zeros(20_000_000)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        twice = io.BytesIO(rewritten(good, lambda name, data: (name, data)))
        with zipfile.ZipFile(twice, "a") as archive:
            archive.writestr(next(n for n in archive.namelist() if n.endswith("data.pkl")), b"N.")
    claims = bytearray(good)
    place = claims.rindex(b"PK\x01\x02")
    claims[place + 24 : place + 28] = b"\xf0\xff\xff\xff"
    return {
        "bomb": rewritten(many, lambda name, data: (name, data), compression=zipfile.ZIP_DEFLATED),
        "member twice": twice.getvalue(),
        "claims 4 GB": bytes(claims),
        "a storage is missing": rewritten(good, lambda name, data: None if "/data/" in name else (name, data)),
        "a storage is short": rewritten(good, lambda name, data: (name, data[:8] if "/data/" in name else data)),
        "no pickle": rewritten(good, lambda name, data: None if name.endswith(".pkl") else (name, data)),
        "a program": rewritten(good, lambda name, data: (name.replace("data.pkl", "constants.pkl"), data)),
        "cut": good[:-30],
        "an empty archive": b"PK\x05\x06" + bytes(18),
    }


def legacy_files() -> dict[str, bytes]:
    good = torch_bytes({"weight": torch.ones(3, 2), "bias": torch.zeros(3)}, False)
    return {f"cut {share}": good[: len(good) * share // 20] for share in range(1, 20)}


def graphs() -> dict[str, bytes]:
    one = graph.field(5, struct.pack("<f", 2.0))
    huge = [graph.node(f"n{i}", "Const", graph.tensor(1, graph.shape(1 << 27), one)) for i in range(400)]
    hidden = graph.node("n", "Const", graph.tensor(1, graph.shape(0, 1 << 27, 1 << 27), one))
    integers = graph.tensor(3, graph.shape(2), graph.field(7, b"\x01" * 5_000_000))
    return {
        "44 kB claim 217 GB": b"".join(huge),
        "many moderate ones": b"".join(
            graph.node(f"n{i}", "Const", graph.tensor(1, graph.shape(1 << 23), one)) for i in range(400)
        ),
        "hidden by a zero": hidden,
        "more values than claimed": graph.node("n", "Const", integers),
        "one name twice": graph.constant("a", np.ones(2, np.float32)) * 2,
    }


def safetensors_files() -> dict[str, bytes]:
    def file(header: str, size: int = 0) -> bytes:
        return struct.pack("<Q", len(header)) + header.encode() + bytes(size)

    one = '"{}":{{"dtype":"F32","shape":[{}],"data_offsets":[0,{}]}}'
    return {
        "nested metadata": file('{"__metadata__":' + '{"a":' * 100_000 + "1" + "}" * 100_001),
        "nested lists": file('{"a":' + "[" * 100_000 + "]" * 100_000 + "}"),
        "impossible shape": file("{" + one.format("a", "4611686018427387904,4611686018427387904", 4) + "}", 4),
        "an empty one of impossible shape": file("{" + one.format("a", "0,1099511627776,1048576", 0) + "}"),
        "header claims too much": struct.pack("<Q", 1 << 62) + b'{"a":1}',
        "data claims too much": file("{" + one.format("a", "1073741824", 1 << 32) + "}", 8),
        "a tensor twice": file("{" + one.format("a", "1", 4) + "," + one.format("a", "1", 4) + "}", 4),
        "infinite": file('{"__metadata__":{"input":"{\\"num_frames\\":1e999}"}}'),
        "not UTF-8": struct.pack("<Q", 4) + b'{"\xff"',
    }


STATED = {
    "short_side": (0, -1, 0.5, 1e9, "128", None, [128], 1e999),
    "num_frames": (0, 1_000_000_000, -4, 1e999, float("nan"), "16", 15),
    "sampling_rate": (0, 1_000_000_000),
    "fps": (0, -1, float("inf"), float("nan"), "0/0", [1], 1e-30),
    "std": (0, [0, 0, 0], [0.2, 0.2], [float("inf")] * 3, ["a"] * 3, [-1, 1, 1], [1e-30] * 3),
    "mean": (None, [float("nan")] * 3, {}),
    "alpha": (0, -4, 1e999, "4", 5),
    "keyframe": ("middle", 3),
    "slow_index_rule": ("none", [], None),
    "channel_order": ("grb", 1),
    "activation": ("relu", ["softmax"]),
    "crop": (0, 1e999, -1, "a"),
    "whole_video": ("no", 3),
    "view_scores": ("median", 1),
}
SAID = {
    "options": ('{"width": 1e999}', '{"depth": [1000000000, 1, 1, 1]}', "[" * 100_000, '{"width": -1}', "[]", "NaN"),
    "labels": ("[" * 100_000 + "]" * 100_000, "[1, 2]", '"ab"', "{}", '["a", "a"]', "[]"),
    "label_ids": ("[1e999, 1]", "[NaN, 1]", '["a", "b"]', "[1.5, 2]", f"[1, {'9' * 5000}]"),
    "input": ("[" * 100_000, "NaN", "{}", "3", "null"),
    "thresholds": ("[" * 100_000, "[1e999, 1]", "{}"),
    "box_regression": ("[" * 100_000, '{"detector": "d", "weights": [[1e999]]}'),
}


def stated_files() -> dict[str, bytes]:
    state = {"weight": torch.ones(3, 2)}
    files = {f"{key}={value}": save(state, described(**{key: value})) for key in STATED for value in STATED[key]}
    said = {f"{key}={value[:40]}": save(state, {**described(), key: value}) for key in SAID for value in SAID[key]}
    return {**files, **said}


def score_files() -> dict[str, bytes]:
    def npz(header: str, size: int = 8, packed: bool = False) -> bytes:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive:
            start = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header) + 1) + header.encode() + b"\n"
            archive.writestr("videos.npy", start + bytes(size))
            archive.writestr("scores.npy", start + bytes(size))
        return stream.getvalue()

    of = "{{'descr': '{}', 'fortran_order': False, 'shape': {}, }}"
    return {
        "huge": npz(of.format("<f8", (1 << 40,))),
        "objects": npz(of.format("|O", (1,))),
        "negative": npz(of.format("<f8", (-1,))),
        "nested": npz("(" * 5000),
        "records": npz(of.format("<f8", (1,)).replace("'<f8'", "[('a', '<f8')]")),
        "bomb": npz(of.format("<f8", (1 << 24,)), 1 << 27, True),
        "wide text": npz(of.format("<U2", (1,))),
        "impossible text": npz(of.format("<U1", (2,))).replace(bytes(8), b"\xff" * 8),
        "pickle": pickle.dumps(np.ones(3)),
    }


KINDS: dict[str, tuple[Callable[[], dict[str, bytes]], str]] = {
    "crafted": (crafted.whole, ".pkl"),
    "deep": (crafted.deep, ".deep"),
    "archives": (zip_files, ".pth"),
    "legacy": (legacy_files, ".pth"),
    "graphs": (graphs, ".pb"),
    "safetensors": (safetensors_files, ".safetensors"),
    "stated": (stated_files, ".safetensors"),
    "scores": (score_files, ".npz"),
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What `read_everything.py` says of all files, once it ended well."""
    folder = tmp_path_factory.mktemp("files")
    for kind, (make, suffix) in KINDS.items():
        write(folder / kind, make(), suffix)
    (folder / "mutated").mkdir()
    mutated_files(folder / "mutated")
    command = [sys.executable, "-W", "error", str(Path(__file__).with_name("read_everything.py")), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    assert done.returncode == 0, f"ended with {done.returncode} at {done.stderr[-2000:]}"
    assert not (folder / "ran").exists(), "a file ran a command"
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("kind", [*KINDS, "mutated"])
def test_a_result_or_one_error_and_little_memory(outcomes: dict[str, dict[str, Any]], kind: str) -> None:
    outcome = outcomes[kind]
    assert outcome["failures"] == []
    assert outcome["megabytes"] < MOST_MEGABYTES


@pytest.mark.parametrize("kind", KINDS)
def test_bad_files_are_refused_by_a_reader_each(outcomes: dict[str, dict[str, Any]], kind: str) -> None:
    assert outcomes[kind]["refused"] >= outcomes[kind]["files"]


def test_files_that_were_not_harmed_are_still_read(outcomes: dict[str, dict[str, Any]]) -> None:
    assert outcomes["mutated"]["read"] > 100
