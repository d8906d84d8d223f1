"""Compare what streaming and clip inference cost: multiply-adds and time.

    python tools/benchmark_streaming.py cost                                  # counts, computes nothing
    python tools/benchmark_streaming.py time --model ava_slowfast_8x8_r50 --size 256x344

Weights are made up; both sides run the same network in the same precision. Timings depend on the machine and on what
else runs there: compare numbers of one run only. How far the scores agree: `streaming_agreement.py`.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from sf_detect.models.streaming import StreamingModel, step_frames
from sf_detect.zoo.table import ZooEntry, entry

DEFAULT = [("slowfast_tiny_jhmdb", (160, 213)), ("ava_slowfast_8x8_r50", (256, 344))]


def clip_pathways(chosen: ZooEntry, size: tuple[int, int], device: str, batch: int = 1) -> list[Tensor]:
    """Made-up clips as network input; the slow pathway takes the last frame of each group, as streaming does."""
    fast = torch.zeros if device == "meta" else torch.randn
    dense = fast(batch, 3, chosen.clip_spec.num_frames, *size, device=device)
    return [dense] if chosen.alpha is None else [dense[:, :, chosen.alpha - 1 :: chosen.alpha], dense]


def streaming_model(chosen: ZooEntry, network: nn.Module) -> StreamingModel:
    """The streaming form, its window that of the clip."""
    return StreamingModel(network, max(1, chosen.clip_spec.num_frames // step_frames(network)))


def multiply_adds(compute: Callable[[], object]) -> float:
    """Multiply-adds of convolutions and matrix products."""
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        compute()
    return counter.get_total_flops() / 2


def print_cost(name: str, size: tuple[int, int]) -> None:
    """Print the multiply-adds of a clip and of a slow step, boxes apart."""
    chosen = entry(name)
    with torch.device("meta"):
        network = chosen.builder(causal=True).eval()
    pathways = clip_pathways(chosen, size, "meta")
    model = streaming_model(chosen, network)
    dense = pathways[-1][0]
    model.push(dense)  # from here on every cache is full
    clip = multiply_adds(lambda: network.features(pathways))  # type: ignore[operator]
    step = multiply_adds(lambda: model.push(dense[:, : model.step_frames]))
    seconds = model.step_frames * chosen.clip_spec.interval
    print(
        f"{name}, {size[0]}x{size[1]}, {model.window} slow steps of {seconds:.3f} s, "
        f"{model.state_bytes / 1e6:.1f} MB kept"
    )
    print(f"  clip {clip / 1e9:8.2f} G multiply-adds; slow step {step / 1e9:7.2f} G = 1/{clip / step:.2f} of a clip")
    for rate in (1, 2, 4, 1 / seconds):
        print(
            f"  {rate:5.2f} predictions/s: clip {rate * clip / 1e9:8.2f}, streaming {step / seconds / 1e9:7.2f} G per s"
        )


def seconds_of(compute: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    compute()
    return time.perf_counter() - start


def print_time(name: str, size: tuple[int, int], repeat: int) -> None:
    """Print the median time of a prediction by clip and by slow step, boxes included, runs interleaved."""
    chosen = entry(name)
    torch.manual_seed(0)
    network = chosen.builder(causal=True).eval().to(memory_format=torch.channels_last_3d)
    height, width = size
    box = torch.tensor([[0.0, 0.0, width / 2, height / 2], [width / 4, 0.0, width, height]])
    rows = torch.cat([torch.zeros(2, 1), box], 1)
    pathways = [x.contiguous(memory_format=torch.channels_last_3d) for x in clip_pathways(chosen, size, "cpu")]
    model = streaming_model(chosen, network)
    group = pathways[-1][0, :, : model.step_frames]
    clips, steps = [], []
    with torch.inference_mode():
        network(pathways, rows)
        model.push(pathways[-1][0])
        for _ in range(repeat):
            clips.append(seconds_of(lambda: network(pathways, rows)))
            steps += [seconds_of(lambda: (model.push(group), model.scores(box))) for _ in range(3)]
    clip, step = statistics.median(clips), statistics.median(steps)
    seconds = model.step_frames * chosen.clip_spec.interval
    threads = torch.get_num_threads()
    print(
        f"{name}, {height}x{width}, float32, {threads} thread(s), 2 boxes, median of {repeat} clips, {len(steps)} steps"
    )
    print(
        f"  clip      {1e3 * clip:9.1f} ms, {1 / clip:7.2f} predictions/s, "
        f"{2 * clip:7.3f} s per second of video at 2 predictions a second"
    )
    print(
        f"  streaming {1e3 * step:9.1f} ms, {1 / step:7.2f} predictions/s, {step / seconds:7.3f} s per second of video"
    )
    print(f"  a slow step takes 1/{clip / step:.2f} of a clip; {model.state_bytes / 1e6:.1f} MB kept")


def chosen_models(model: str | None, size: str) -> list[tuple[str, tuple[int, int]]]:
    """Names with (height, width); the default pair where `model` is None."""
    if model is None:
        return DEFAULT
    height, _, width = size.partition("x")
    if not (height.isdigit() and width.isdigit()):
        raise SystemExit(f"--size {size}: expected HEIGHTxWIDTH, such as 256x344.")
    return [(model, (int(height), int(width)))]


def measure_time(chosen: list[tuple[str, tuple[int, int]]], repeat: int, threads: int | None) -> None:
    """Print the times of each model."""
    if threads:
        torch.set_num_threads(threads)
    for name, size in chosen:
        print_time(name, size, repeat)


def main() -> None:
    """Parse and call."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["cost", "time"])
    parser.add_argument("--model", help="of `sf-detect weights list`; default: the default model and the AVA R50")
    parser.add_argument("--size", default="256x344", help="HEIGHTxWIDTH of the network's input, with --model")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--threads", type=int, help="of torch; default: its own choice")
    arguments = parser.parse_args()
    chosen = chosen_models(arguments.model, arguments.size)
    if arguments.what == "time":
        return measure_time(chosen, arguments.repeat, arguments.threads)
    for name, size in chosen:
        print_cost(name, size)


if __name__ == "__main__":
    main()
