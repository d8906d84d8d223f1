"""From settings to a batch: workers, fingerprints, inputs and estimate; `build` for `batch`."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from sf_detect.annotator import Annotator
from sf_detect.batch.inputs import Inputs, stamp_by_time
from sf_detect.batch.jobs import JobRunner, Limits, Report, VideoStats, WorkerPool
from sf_detect.batch.layout import ArchiveFolder, kinds_of
from sf_detect.batch.listing import Listed, Selection
from sf_detect.batch.local import LocalPool
from sf_detect.batch.manifest import Versions
from sf_detect.batch.run import Batch, Observer, run_batch
from sf_detect.batch.summary import BatchSummary
from sf_detect.batch.worker import ArchiveWorker
from sf_detect.build import build_event_rules
from sf_detect.config import RunConfig, check_config
from sf_detect.errors import ConfigError, UnknownNameError
from sf_detect.events import ResultEvents
from sf_detect.outputs import Outputs
from sf_detect.structures import FrameResult, VideoInfo
from sf_detect.threads import limited_threads
from sf_detect.version import __version__

DEFAULT_FORMATS = ("jsonl", "events")
ENGINES = ("local", "ray")
_WORKER_BYTES = 900_000_000
"""Memory to reckon with for a worker of the default model on video of 1080 lines (docs/batch.md)."""
_SHARE_OF_MEMORY = 0.8
_GPU_WORKERS = 4


@dataclass(frozen=True)
class BatchOptions:
    """How videos are annotated, beside the settings of each.

    Attributes:
        formats: What each video gets, see `layout.FORMATS`.
        selection: Which of the videos.
        limits: When a video is given up.
        workers: How many; None chooses from the machine.
        engine: "local" or "ray".
        ray_address: Of a running Ray cluster; None starts one here.
        by_hash: Whether a changed file is told by its content instead of size and time.
    """

    formats: tuple[str, ...] = DEFAULT_FORMATS
    selection: Selection = field(default_factory=Selection)
    limits: Limits = field(default_factory=Limits)
    workers: int | None = None
    engine: str = "local"
    ray_address: str | None = None
    by_hash: bool = False


def annotate_videos(
    arguments: Sequence[str],
    out_dir: str | os.PathLike[str],
    config: RunConfig,
    options: BatchOptions,
    observer: Observer,
    lines: Iterable[str] = (),
) -> BatchSummary:
    """Annotates videos into an archive.

    Args:
        arguments: Files, folders, globs, lists of files, addresses; "-" for `lines`.
        out_dir: The archive.
        config: Settings of each video.
        options: See `BatchOptions`.
        observer: Hears how it goes on.
        lines: Names of videos.

    Raises:
        SFDetectError: An argument is wrong, the archive can't be written, or the models can't be loaded.
    """
    check_config(config)
    batch = build(out_dir, config, options)
    inputs = build_inputs(out_dir, options, lines)
    make = partial(build_worker, config, os.path.abspath(out_dir), batch.folder.part, tuple(batch.kinds))
    summary = run_batch(batch, inputs.of(arguments), partial(build_pool, config, options, make), observer)
    summary.problems += inputs.problems
    return summary


def build(out_dir: str | os.PathLike[str], config: RunConfig, options: BatchOptions) -> Batch:
    """What a run does.

    Raises:
        ConfigError: A setting or format that is not accepted.
    """
    if options.engine not in ENGINES:
        raise UnknownNameError("engine", options.engine, ENGINES)
    if options.workers is not None and options.workers < 1:
        raise ConfigError(f"workers is {options.workers}; expected 1 or more.")
    shard = options.selection.shard
    part = "" if shard is None else f".{shard[0]}-of-{shard[1]}"
    folder = ArchiveFolder(os.path.abspath(out_dir), part)
    return Batch(folder, kinds_of(options.formats), fingerprints(config), options.selection)


def build_inputs(out_dir: str | os.PathLike[str], options: BatchOptions, lines: Iterable[str] = ()) -> Inputs:
    """What finds the videos."""
    return Inputs(out_dir, stamp_by_hash if options.by_hash else stamp_by_time, None, lines)


def stamp_by_hash(path: str) -> tuple[int, str]:
    """As `stamp_by_time`, by the content."""
    size, stamp = stamp_by_time(path)
    try:
        return (size, f"sha256:{_sha256(path)}") if stamp else (size, stamp)
    except OSError:  # told when it is to be annotated
        return size, ""


def build_pool(
    config: RunConfig, options: BatchOptions, make: Callable[[int], JobRunner], listed: Listed
) -> WorkerPool:
    """The workers of an engine; `make` gets the number of threads of each."""
    workers = options.workers or default_workers(config.device)
    threads = max(1, cores() // workers)
    workers = min(workers, listed.waiting)
    return LocalPool(partial(make, threads), workers, options.limits)


def cores() -> int:
    """That this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def memory_bytes() -> int:
    """Of this machine; 0 where it does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows
        return 0


def default_workers(device: str) -> int:
    """One a core, as far as memory goes; on a GPU a few, which decode while one computes."""
    memory = memory_bytes()
    room = max(1, int(memory * _SHARE_OF_MEMORY / _WORKER_BYTES)) if memory else cores()
    most = cores() if device == "cpu" else min(cores(), _GPU_WORKERS)
    return min(most, room)


def build_worker(config: RunConfig, out_dir: str, part: str, kinds: Sequence[str], threads: int) -> JobRunner:
    """Called in each worker: loads the models."""
    # Before torch is imported, which reads it once; a worker is a process of our own.
    os.environ["OMP_NUM_THREADS"] = str(threads)
    annotate = ConfiguredAnnotator(config, threads)
    return ArchiveWorker(annotate, ArchiveFolder(out_dir, part), kinds, fetched)


@contextmanager
def fetched(source: str) -> Iterator[tuple[str, str]]:
    """A local file needs no fetching."""
    yield source, source


class ConfiguredAnnotator:
    """See `batch.jobs.VideoAnnotator`.

    Args:
        config: Settings of each video.
        threads: That a step computes with.
    """

    def __init__(self, config: RunConfig, threads: int = 1) -> None:
        self._threads = threads
        with limited_threads(threads):
            self._annotator = Annotator(config)

    def __call__(self, path: str, name: str, source: str, outputs: Mapping[str, Path], report: Report) -> VideoStats:
        """See `VideoAnnotator`."""
        watch = _Watch(self._annotator, report)
        with limited_threads(self._threads):
            summary = self._annotator.annotate_into(
                path, Outputs(**outputs), name=name, on_start=watch.start, on_result=watch.see
            )
        spec = self._annotator.spec
        return VideoStats(
            summary.seconds,
            summary.frames,
            summary.keyframes,
            len(summary.tracks),
            summary.decode_errors,
            watch.finish(),
            spec.name,
            spec.backend,
            tuple(summary.warnings),
        )


class _Watch:
    """Follows the results of a video: progress, and seconds of each label."""

    def __init__(self, annotator: Annotator, report: Report) -> None:
        self._annotator, self._report = annotator, report
        self._total: float | None = None
        self._events: ResultEvents | None = None
        self._seconds: Counter[str] = Counter()

    def start(self, info: VideoInfo) -> None:
        self._total = info.duration
        rules = build_event_rules(self._annotator.config, self._annotator.spec, info.name)
        self._events = ResultEvents(rules, info.fps)

    def see(self, result: FrameResult) -> None:
        self._report(result.frame.pts, self._total)
        if self._events is not None:
            self._add(self._events.push(result))

    def finish(self) -> dict[str, float]:
        if self._events is not None:
            self._add(self._events.finish())
        return dict(self._seconds)

    def _add(self, events: Sequence[Any]) -> None:
        for event in events:
            self._seconds[event.label] += event.end - event.start


def fingerprints(config: RunConfig) -> Versions:
    """Of settings and of the content of files that they name, and of the weights that come with the package.

    Where the package is updated and its weights are not, results stay.
    """
    settings = asdict(config)
    settings.pop("seed")  # inference is deterministic
    render = settings.pop("render")
    counting = {key: render.pop(key) for key in ("threshold", "thresholds")}
    shipped = {path.name: _sha256(path) for path in sorted(_shipped_folder().glob("*.safetensors"))}
    return Versions(
        _digest({"settings": _with_files(settings), "thresholds": counting, "shipped": shipped}),
        _digest({"render": _with_files(render)}),
        __version__,
    )


def _shipped_folder() -> Path:
    import sf_detect.weights

    return Path(sf_detect.weights.__file__).parent / "shipped"


def _with_files(value: Any) -> Any:
    """Settings where the name of a file stands with the hash of its content."""
    if isinstance(value, dict):
        return {key: _with_files(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_with_files(item) for item in value]
    if isinstance(value, str):
        path = value.partition(":")[2] if value.startswith(("precomputed:", "detectron2:")) else value
        if os.path.isfile(path):
            return {"file": _sha256(path)}
    return value


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _sha256(path: str | os.PathLike[str]) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
