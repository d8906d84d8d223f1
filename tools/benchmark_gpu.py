"""Time networks and whole commands on a GPU beside the processor of the same machine.

    python tools/benchmark_gpu.py networks [--device cuda] [--batch 8]
    python tools/benchmark_gpu.py run [--devices cpu,cuda] [--seconds 60]

`networks` prints medians of one clip with three persons and of a batch, in float32, TF32 and bf16, and the rate of a
product of matrices, which no network can exceed; weights are random, which takes the same time. `run` annotates the
demo clip, repeated, with the default model and with AVA's SlowFast (random weights), and prints frames a second and
the processor's seconds.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from benchmark import child_seconds, count_frames, looped
from benchmark_streaming import clip_pathways, multiply_adds
from safetensors.torch import save_file
from torch import Tensor, nn

from sf_detect.assets import DEMO_VIDEO
from sf_detect.zoo.table import ZooEntry, entry, load_network

_NETWORKS = ("slowfast_tiny_jhmdb", "ava_slow_4x16_r50", "ava_slowfast_8x8_r50", "ava_slowfast_8x8_r101_nl")
_SIDE = 4096
_PERSONS = 3
_MODES = {"fp32": (False, None), "tf32": (True, None), "bf16": (True, torch.bfloat16)}


def pathways(chosen: ZooEntry, batch: int, device: str) -> tuple[list[Tensor], Tensor]:
    """Random clips of 4:3 in the network's size, and boxes of three persons each."""
    short = chosen.short_side
    shown = clip_pathways(chosen, (short, round(short * 4 / 3 / 16) * 16), device, batch)
    box = [short * 0.1, short * 0.1, short * 0.5, short * 0.9]
    rows = [[float(i), *box] for i in range(batch) for _ in range(_PERSONS)]
    return shown, torch.tensor(rows, device=device)


def median_ms(call: Callable[[], object], device: str, runs: int) -> float:
    """Median of wall time, waited for, in milliseconds, after three calls that are not counted."""
    times = []
    for i in range(runs + 3):
        begun = time.perf_counter()
        call()
        if device != "cpu":
            torch.cuda.synchronize()
        if i >= 3:
            times.append(1000 * (time.perf_counter() - begun))
    return statistics.median(times)


def product_rate(device: str, dtype: torch.dtype | None, runs: int) -> float:
    """Multiply-adds a second of a large product of matrices, in units of 1e12."""
    side = 1024 if device == "cpu" else _SIDE
    a, b = (torch.randn(side, side, device=device, dtype=dtype or torch.float32) for _ in "ab")
    return side**3 / median_ms(lambda: a @ b, device, runs) / 1e9


def time_networks(device: str, batch: int, runs: int) -> None:
    """Prints the table of `networks`."""
    chip = "processor" if device == "cpu" else torch.cuda.get_device_name(device)
    print(f"{device}: {chip}, torch {torch.__version__}")
    for mode, (tf32, dtype) in _MODES.items():
        torch.backends.cuda.matmul.allow_tf32 = tf32
        print(f"product of matrices, {mode}: {product_rate(device, dtype, runs):.2f}e12 multiply-adds a second")
    print(f"{'network':28}{'GMac':>8}" + "".join(f"{f'{m} x{n}':>12}" for m in _MODES for n in (1, batch)))
    for name in _NETWORKS:
        chosen = entry(name)
        network = load_network(name, device=device)
        cells = []
        for tf32, dtype in _MODES.values():
            torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = tf32
            for count in (1, batch):
                inputs = pathways(chosen, count, device)
                cells.append(median_ms(lambda: scored(network, inputs, dtype), device, runs))  # noqa: B023
        with torch.device("meta"):
            bare, example = load_network(name, device="meta"), pathways(chosen, 1, "meta")
            gmac = multiply_adds(lambda: bare(*example)) / 1e9  # noqa: B023
        print(f"{name:28}{gmac:8.1f}" + "".join(f"{ms:9.2f} ms" for ms in cells))


@torch.inference_mode()
def scored(network: nn.Module, inputs: tuple[list[Tensor], Tensor], dtype: torch.dtype | None) -> Tensor:
    """Logits of a batch, computed in `dtype`; None is float32."""
    shown, boxes = inputs
    with torch.autocast(boxes.device.type, dtype, enabled=dtype is not None):
        found: Tensor = network(shown, boxes)
    return found


def time_runs(devices: list[str], seconds: float) -> None:
    """Prints the table of `run`."""
    with tempfile.TemporaryDirectory() as folder:
        video = looped(DEMO_VIDEO, seconds, Path(folder) / "video.mp4")
        slow = Path(folder) / "slowfast.safetensors"
        save_file(load_network("ava_slowfast_8x8_r50").state_dict(), slow)
        models = {"slowfast_tiny_jhmdb": [], "ava_slowfast_8x8_r50": ["--set", f"model.weights={slow}"]}
        for name, more in models.items():
            for device in devices:
                command = [sys.executable, "-m", "sf_detect", "run", video, "--model", name, "--device", device, *more]
                command += ["--backend", "auto" if device == "cpu" else "torch", "--no-postures", "--quiet"]
                command += ["--out-jsonl", Path(folder) / "o.jsonl"]
                used, begun = child_seconds(), time.perf_counter()
                done = subprocess.run([str(word) for word in command], capture_output=True)
                rate, used = count_frames(video) / (time.perf_counter() - begun), child_seconds() - used
                print(f"{name:28}{device:8}exit {done.returncode}{rate:8.1f} frames/s{used:8.1f} s of the processor")
                if done.returncode:
                    print(done.stderr.decode(errors="replace")[-1500:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["networks", "run"])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--devices", default="cpu,cuda")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=60.0)
    arguments = parser.parse_args()
    if arguments.what == "networks":
        time_networks(arguments.device, arguments.batch, arguments.runs)
    else:
        time_runs(arguments.devices.split(","), arguments.seconds)


if __name__ == "__main__":
    main()
