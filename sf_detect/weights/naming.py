"""Parameter names of public checkpoints, turned into those of our networks.

Our networks use the public PySlowFast names. Other schemes hold the same networks: the older Caffe2 blobs,
PyTorchVideo's hub, and MMAction2's C3D. A name that no rule knows is kept as it is, so that strict loading lists it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

from sf_detect.errors import WeightsFormatError

_CAFFE2_SUFFIX = {"w": "weight", "b": "bias"}
_CAFFE2_NORM = {"s": "weight", "b": "bias", "rm": "running_mean", "riv": "running_var"}
#: Optimiser state that Caffe2 checkpoints carry beside the weights.
_CAFFE2_IGNORED = re.compile(r"(^|_)(momentum|lr|model_iter)(_|$)")
_P = r"(?P<fast>t_)?"
_NORM = r"_bn_(?P<norm>s|b|rm|riv)$"
_CAFFE2_RULES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), target)
    for pattern, target in (
        (r"^pred_(?P<leaf>[wb])$", "head.projection"),
        (r"^(?P<conv>conv_5|lin_5)_(?P<leaf>w)$", "head.{conv}"),
        (rf"^(?P<conv>conv_5|lin_5){_NORM}", "head.{conv}_bn"),
        (r"^conv1_xy_(?P<leaf>w)$", "s1.pathway0_stem.conv_xy"),
        (
            r"^res(?P<stage>\d)_(?P<block>\d+)_branch2b_bn_(?P<conv>fc[12])_(?P<leaf>[wb])$",
            "s{stage}.pathway0_res{block}.branch2.se.{conv}",
        ),
        (rf"^{_P}conv1_(?P<leaf>w)$", "s1.pathway{p}_stem.conv"),
        (rf"^{_P}res_conv1{_NORM}", "s1.pathway{p}_stem.bn"),
        (r"^t_pool1_subsample_(?P<leaf>w)$", "s1_fuse.conv_f2s"),
        (rf"^t_pool1_subsample{_NORM}", "s1_fuse.bn"),
        (r"^t_res(?P<stage>\d)_\d+_branch2c_bn_subsample_(?P<leaf>w)$", "s{stage}_fuse.conv_f2s"),
        (rf"^t_res(?P<stage>\d)_\d+_branch2c_bn_subsample{_NORM}", "s{stage}_fuse.bn"),
        (rf"^{_P}res(?P<stage>\d)_(?P<block>\d+)_branch1_(?P<leaf>w)$", "s{stage}.pathway{p}_res{block}.branch1"),
        (rf"^{_P}res(?P<stage>\d)_(?P<block>\d+)_branch1{_NORM}", "s{stage}.pathway{p}_res{block}.branch1_bn"),
        (
            rf"^{_P}res(?P<stage>\d)_(?P<block>\d+)_branch2(?P<conv>[abc])_(?P<leaf>w)$",
            "s{stage}.pathway{p}_res{block}.branch2.{conv}",
        ),
        (
            rf"^{_P}res(?P<stage>\d)_(?P<block>\d+)_branch2(?P<conv>[abc]){_NORM}",
            "s{stage}.pathway{p}_res{block}.branch2.{conv}_bn",
        ),
        (
            rf"^{_P}nonlocal_conv(?P<stage>\d)_(?P<block>\d+)_(?P<conv>theta|phi|g|out)_(?P<leaf>[wb])$",
            "s{stage}.pathway{p}_nonlocal{block}.conv_{conv}",
        ),
        (
            rf"^{_P}nonlocal_conv(?P<stage>\d)_(?P<block>\d+){_NORM}",
            "s{stage}.pathway{p}_nonlocal{block}.bn",
        ),
    )
)


def renamed(state: Mapping[str, Tensor], rename: Callable[[str], str]) -> dict[str, Tensor]:
    """A state dict under other names.

    Raises:
        WeightsFormatError: Two names become one, so that one of two tensors would be lost.
    """
    sources: dict[str, str] = {}
    for name in state:
        target = rename(name)
        if target in sources:
            raise WeightsFormatError(
                f"both {sources[target]!r} and {name!r} stand for the parameter {target}. Expected one tensor for each "
                "parameter; save the file again with one of them."
            )
        sources[target] = name
    return {target: state[name] for target, name in sources.items()}


def is_caffe2_optimiser_state(name: str) -> bool:
    """True for blobs that are not weights: momentum, learning rate, iteration counter."""
    return _CAFFE2_IGNORED.search(name) is not None


def from_caffe2(name: str) -> str:
    """Our name of a Caffe2 blob, or `name` itself where no rule knows it."""
    for pattern, target in _CAFFE2_RULES:
        match = pattern.match(name)
        if match is None:
            continue
        groups = match.groupdict()
        leaf = _CAFFE2_NORM[groups["norm"]] if groups.get("norm") else _CAFFE2_SUFFIX[groups["leaf"]]
        return target.format(p=1 if groups.get("fast") else 0, **groups) + "." + leaf
    return name


#: What training tools put in front of names, or between them.
_WRAPPERS = {
    "module.": "data-parallel training",
    "_orig_mod.": "torch.compile",
    "model.": "an enclosing module",
}


def without_wrappers(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """A state dict without the prefixes of training tools, and what was taken away, in words.

    Two names that would become one stay as they are, so that strict loading lists them.
    """
    notes = []
    shown = dict(state)
    if (count := shown.pop("n_averaged", None)) is not None and count.ndim == 0:
        notes.append(f"weights averaged over {int(count)} steps (torch.optim.swa_utils); left out their counter")
    elif count is not None:
        shown["n_averaged"] = count
    found = set()
    while prefix := next((p for p in _WRAPPERS if any(_has(name, p) for name in shown)), None):
        shorter = {name: _without(name, prefix) for name in shown}
        if len(set(shorter.values())) < len(shorter):
            break
        shown = {shorter[name]: value for name, value in shown.items()}
        found.add(prefix)
    notes += [f"removed the prefix {p!r} of {_WRAPPERS[p]}" for p in _WRAPPERS if p in found]
    return shown, notes


def _has(name: str, prefix: str) -> bool:
    return name.startswith(prefix) or (prefix == "_orig_mod." and f".{prefix}" in name)


def _without(name: str, prefix: str) -> str:
    if prefix == "_orig_mod.":  # parts of a network can be compiled as well
        return name.replace(prefix, "")
    return name.removeprefix(prefix)


def is_pytorchvideo(names: Iterable[str]) -> bool:
    """True if the names are those of PyTorchVideo's ResNets, SlowFast or X3D networks."""
    return any(".res_blocks." in n and re.match(r"(model\.)?blocks\.\d+\.", n) for n in names)


_MMACTION_C3D = {
    "backbone.conv1a.conv": "conv1",
    "backbone.conv2a.conv": "conv2",
    **{f"backbone.conv{n}{x}.conv": f"conv{n}{x}" for n in (3, 4, 5) for x in "ab"},
    "backbone.fc6": "fc6",
    "backbone.fc7": "fc7",
    "cls_head.fc_cls": "fc8",
}


def is_mmaction_c3d(names: Iterable[str]) -> bool:
    """True if the names are those of MMAction2's C3D with its classifier."""
    return {f"{layer}.weight" for layer in _MMACTION_C3D} <= set(names)


def from_mmaction_c3d(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """An MMAction2 C3D state dict under our names."""

    def rename(name: str) -> str:
        layer, _, leaf = name.rpartition(".")
        return f"{_MMACTION_C3D.get(layer, layer)}.{leaf}"

    return renamed(state, rename)


_PTV_LAYER = {
    "conv_fast_to_slow": "conv_f2s",
    "conv": "conv",
    "norm": "bn",
    "branch1_conv": "branch1",
    "branch1_norm": "branch1_bn",
    **{f"branch2.conv_{x}": f"branch2.{x}" for x in "abc"},
    **{f"branch2.norm_{x}": f"branch2.{x}_bn" for x in "abc"},
    # X3D: the normalisation shares a sequence with the squeeze-and-excitation.
    "branch2.norm_b.0": "branch2.b_bn",
    "branch2.norm_b.1.block.0": "branch2.se.fc1",
    "branch2.norm_b.1.block.2": "branch2.se.fc2",
    "pool.pre_conv": "conv_5",
    "pool.pre_norm": "conv_5_bn",
    "pool.post_conv": "lin_5",
    "proj": "projection",
    # X3D's stem: its spatial convolution runs first and is called "conv_t" there, the temporal one "conv_xy".
    "conv.conv_t": "conv_xy",
    "conv.conv_xy": "conv",
}
_PTV_NAME = re.compile(
    r"^(?:model\.)?blocks\.(?P<index>\d+)\."
    r"(?:multipathway_blocks\.(?P<pathway>\d+)\.|(?P<fuse>multipathway_fusion)\.)?"
    r"(?:res_blocks\.(?P<block>\d+)\.)?(?P<layer>.+)\.(?P<leaf>\w+)$"
)


def from_pytorchvideo(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A PyTorchVideo state dict under our names.

    The blocks that hold residual blocks are res2 to res5 in order; C2D and I3D have a parameter-free pooling block
    between them, which shifts the numbers. X3D's first shortcut has no normalisation there; the identity stands in.
    """
    indices = {int(m["index"]) for m in map(_PTV_NAME.match, state) if m is not None and m["block"] is not None}
    stages = {0: 1} | {index: stage for stage, index in enumerate(sorted(indices), start=2)}
    ours = renamed(state, lambda name: _rename_pytorchvideo(name, stages))
    for name in list(ours):
        if name.endswith(".branch1.weight") and name[: -len(".weight")] + "_bn.weight" not in ours:
            ours |= _identity_norm(name[: -len(".weight")] + "_bn", ours[name])
    return ours


def _rename_pytorchvideo(name: str, stages: Mapping[int, int]) -> str:
    if name.startswith("detection_head.proj."):
        return name.replace("detection_head.proj", "head.projection")
    match = _PTV_NAME.match(name)
    if match is None or match["layer"] not in _PTV_LAYER:
        return name
    stage, layer = stages.get(int(match["index"])), _PTV_LAYER[match["layer"]]
    if stage is None:
        return f"head.{layer}.{match['leaf']}"
    if match["fuse"]:
        return f"s{stage}_fuse.{layer}.{match['leaf']}"
    place = "stem" if match["block"] is None else f"res{match['block']}"
    return f"s{stage}.pathway{match['pathway'] or 0}_{place}.{layer}.{match['leaf']}"


def _identity_norm(prefix: str, convolution: Tensor, eps: float = 1e-5) -> dict[str, Tensor]:
    ones = torch.ones(convolution.shape[:1], dtype=convolution.dtype)
    return {
        f"{prefix}.weight": ones,
        f"{prefix}.bias": torch.zeros_like(ones),
        f"{prefix}.running_mean": torch.zeros_like(ones),
        f"{prefix}.running_var": ones - eps,
    }
