"""Compare streaming with clip inference: multiply-adds, time, and how far the scores agree.

    python tools/benchmark_streaming.py cost                                  # counts, computes nothing
    python tools/benchmark_streaming.py time --model ava_slowfast_8x8_r50 --size 256x344
    python tools/benchmark_streaming.py agreement --video v.mp4               # default: the demo clip

`cost` and `time` use made-up weights where none ship; both sides run the same network in the same precision. Timings
depend on the machine and on what else runs there: compare numbers of one run only.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from sf_detect import build
from sf_detect.assets import DEMO_VIDEO
from sf_detect.config import ModelConfig, RunConfig
from sf_detect.models.predictor import ActionPredictor
from sf_detect.models.streaming import StreamingModel, step_frames
from sf_detect.structures import Detections
from sf_detect.video.clip_buffer import ClipBuffer
from sf_detect.weights.zoo import ZooEntry, entry

DEFAULT = [("slowfast_tiny_jhmdb", (112, 149)), ("ava_slowfast_8x8_r50", (256, 344))]


def clip_pathways(chosen: ZooEntry, size: tuple[int, int], device: str) -> list[Tensor]:
    """A made-up clip as network input; the slow pathway takes the last frame of each group, as streaming does."""
    fast = torch.zeros if device == "meta" else torch.randn
    dense = fast(1, 3, chosen.clip_spec.num_frames, *size, device=device)
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


def agreement(
    clip_model: ActionPredictor, config: RunConfig, video: Path, stride: float
) -> Iterator[tuple[Tensor, Tensor]]:
    """Scores of the whole frame as one box, by clip and by streaming, `stride` seconds apart."""
    streaming = build.build_streaming_predictor(config)
    spec = clip_model.clip_spec
    buffer = ClipBuffer(spec, clip_model.preprocessing.short_side, history=spec.duration + stride)
    waiting: list[tuple[float, Tensor, Detections, tuple[int, int]]] = []
    due = 0.0
    with build.open_source(video) as source:
        for frame in source:
            buffer.push(frame)
            streaming.push(frame)
            if frame.pts >= due:
                due = frame.pts + stride
                height, width = frame.size
                person = Detections(np.array([[0, 0, width, height]], np.float32), np.ones(1, np.float32))
                scores = torch.from_numpy(streaming.score(person, frame.pts, frame.size).scores)
                waiting.append((frame.pts, scores, person, frame.size))
            while waiting and buffer.ready(waiting[0][0]):
                pts, scores, person, size = waiting.pop(0)
                clip = buffer.clip(pts, person, size)
                yield torch.from_numpy(clip_model([clip])[0].scores), scores


def print_agreement(config: RunConfig, video: Path, stride: float) -> None:
    """Print how far the scores of both forms differ at the same moments."""
    clip_model = build.build_predictor(config)
    pairs = list(agreement(clip_model, config, video, stride))
    if not pairs:
        raise SystemExit(f"{video} is shorter than a clip of {clip_model.name}; give a longer one as --video.")
    clip, streaming = (torch.cat(side) for side in zip(*pairs, strict=True))
    difference = (clip - streaming).abs()
    same = (clip.argmax(1) == streaming.argmax(1)).float().mean()
    print(
        f"{config.model.name} on {video.name}: {len(pairs)} moments, "
        f"keyframe {clip_model.clip_spec.keyframe} of its clip"
    )
    print(
        f"  score difference: mean {difference.mean():.4f}, largest {difference.max():.4f}; same best action {same:.0%}"
    )


def main() -> None:
    """Parse and call."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["cost", "time", "agreement"])
    parser.add_argument("--model", help="of `sf-detect weights list`; default: the default model and the AVA R50")
    parser.add_argument("--weights", help="checkpoint, for agreement")
    parser.add_argument("--size", default="256x344", help="HEIGHTxWIDTH of the network's input, with --model")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--threads", type=int, help="of torch; default: its own choice")
    parser.add_argument("--video", type=Path, default=Path(str(DEMO_VIDEO)))
    parser.add_argument("--stride", type=float, default=0.5, help="seconds between compared moments")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    height, _, width = arguments.size.partition("x")
    chosen = DEFAULT if arguments.model is None else [(arguments.model, (int(height), int(width)))]
    if arguments.what == "agreement":
        model = ModelConfig(name=arguments.model or build.DEFAULT_MODEL, weights=arguments.weights)
        return print_agreement(RunConfig(model=model), arguments.video, arguments.stride)
    for name, size in chosen:
        if arguments.what == "cost":
            print_cost(name, size)
        else:
            print_time(name, size, arguments.repeat)


if __name__ == "__main__":
    main()
