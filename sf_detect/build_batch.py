"""From settings to a batch: workers, fingerprints, inputs and estimate; `build` for `batch`."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from sf_detect.batch.estimate import Cost, Estimate, estimate
from sf_detect.batch.inputs import Inputs, stamp_by_time
from sf_detect.batch.jobs import JobRunner, Limits, WorkerPool
from sf_detect.batch.layout import ArchiveFolder, kinds_of
from sf_detect.batch.listing import Listed, Selection
from sf_detect.batch.local import LocalPool
from sf_detect.batch.manifest import Versions
from sf_detect.batch.remote import RemoteInputs, fetched
from sf_detect.batch.run import Batch, Observer, run_batch
from sf_detect.batch.summary import BatchSummary
from sf_detect.batch.worker import ArchiveWorker
from sf_detect.config import RunConfig, check_config
from sf_detect.errors import ConfigError, UnknownNameError
from sf_detect.threads import limited_threads
from sf_detect.version import __version__

DEFAULT_FORMATS = ("jsonl", "events", "parquet")
ENGINES = ("local", "ray")
_WORKER_BYTES = 900_000_000
"""Memory to reckon with for a worker of the default model on video of 1080 lines (docs/batch.md)."""
_SHARE_OF_MEMORY = 0.8
_GPU_WORKERS = 4
_TRIAL_SECONDS = 10.0


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
    batch, remote = build(out_dir, config, options), RemoteInputs()
    inputs = build_inputs(out_dir, options, remote, lines)
    make = partial(build_worker, config, batch)
    summary = run_batch(
        replace(batch, resolved=remote.resolved),
        inputs.of(arguments),
        partial(build_pool, config, options, make),
        observer,
    )
    summary.problems += inputs.problems
    return summary


def estimate_videos(
    arguments: Sequence[str],
    out_dir: str | os.PathLike[str],
    config: RunConfig,
    options: BatchOptions,
    lines: Iterable[str] = (),
) -> Estimate:
    """What `annotate_videos` would do; writes nothing. Arguments and errors are the same."""
    check_config(config)
    workers = options.workers or default_workers(config.device)
    batch, remote = build(out_dir, config, options), RemoteInputs()
    return estimate(
        replace(batch, resolved=remote.resolved),
        build_inputs(out_dir, options, remote, lines).of(arguments),
        partial(_length, config=config),
        partial(_cost, config=config),
        workers,
        cores(),
    )


def _length(source: str, config: RunConfig) -> float | None:
    from sf_detect.build import open_source

    with open_source(source, config) as opened:  # FFmpeg reads addresses of the web itself
        info = opened.info
        if info.duration is None and info.num_frames and info.fps:
            return float(info.num_frames / info.fps)
        return info.duration


def _cost(source: str, config: RunConfig) -> Cost:
    """Of a second of video, by annotating some of this one in this process, as one of the workers would."""
    from sf_detect.annotator import Annotator

    annotator = Annotator(replace(config, max_seconds=_TRIAL_SECONDS))
    with _fetched_here(source) as path, limited_threads(1):
        wall, core, last = time.perf_counter(), time.process_time(), 0.0
        first: float | None = None
        for result in annotator.results(path):
            first = result.frame.pts if first is None else first
            last = result.frame.pts
    seconds = max(last - (first or 0.0), 0.04)
    wall, core = time.perf_counter() - wall, time.process_time() - core
    return Cost(wall / seconds, core / seconds, f"{seconds:.1f} s of {os.path.basename(source)}, annotated to measure")


@contextmanager
def _fetched_here(source: str) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder, fetched(source, Path(folder), lambda seconds, total: None) as found:
        yield found[0]


def build(out_dir: str | os.PathLike[str], config: RunConfig, options: BatchOptions) -> Batch:
    """What a run does.

    Raises:
        ConfigError: A setting or format that is not accepted.
    """
    if options.engine not in ENGINES:
        raise UnknownNameError("engine", options.engine, ENGINES)
    if options.engine == "ray":
        from sf_detect.batch.ray_pool import import_ray

        import_ray()  # before anything is listed
    elif options.ray_address is not None:
        raise ConfigError("--ray-address goes with --engine ray; add it.")
    if options.workers is not None and options.workers < 1:
        raise ConfigError(f"workers is {options.workers}; expected 1 or more.")
    shard = options.selection.shard
    part = "" if shard is None else f".{shard[0]}-of-{shard[1]}"
    folder = ArchiveFolder(os.path.abspath(out_dir), part)
    kinds = (*kinds_of(options.formats), *(("features",) if config.model.features else ()))
    if "features" in kinds and "persons" not in kinds:
        raise ConfigError("features are kept beside the tables of persons; add parquet to --format.")
    return Batch(folder, kinds, fingerprints(config), options.selection)


def build_inputs(
    out_dir: str | os.PathLike[str], options: BatchOptions, remote: RemoteInputs, lines: Iterable[str] = ()
) -> Inputs:
    """What finds the videos."""
    return Inputs(out_dir, stamp_by_hash if options.by_hash else stamp_by_time, remote.list, lines)


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
    if options.engine == "ray":
        from sf_detect.batch.ray_pool import RayPool, Resources

        gpus = 0.0 if config.device == "cpu" else 1 / _GPU_WORKERS
        most = min(listed.waiting, options.workers or listed.waiting)
        return RayPool(partial(make, 1), most, options.limits, Resources(1.0, gpus), options.ray_address)
    workers = options.workers or default_workers(config.device)
    threads = max(1, cores() // workers)
    return LocalPool(partial(make, threads), min(workers, listed.waiting), options.limits)


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


def build_worker(config: RunConfig, batch: Batch, threads: int) -> JobRunner:
    """Called in each worker: loads the models."""
    # Before torch is imported, which reads it once; a worker is a process of our own.
    os.environ["OMP_NUM_THREADS"] = str(threads)
    from sf_detect.build_worker import ConfiguredAnnotator  # only workers need what reads video and computes

    annotate = ConfiguredAnnotator(config, batch.versions.settings, threads)
    return ArchiveWorker(annotate, batch.folder, batch.kinds, fetched)


def fingerprints(config: RunConfig) -> Versions:
    """Of settings and of the content of files that they name, and of the weights that come with the package.

    Where the package is updated and its weights are not, results stay.
    """
    settings = asdict(config)
    settings.pop("seed")  # inference is deterministic
    settings["model"].pop("features")  # they change no result; whether they are there is looked at
    render = settings.pop("render")
    counting = {key: render.pop(key) for key in ("threshold", "thresholds")}
    shipped = {path.name: _sha256(path) for path in sorted(_shipped_folder().iterdir()) if path.suffix != ".md"}
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
