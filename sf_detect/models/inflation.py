"""Video networks that start from an image network (Carreira and Zisserman, "Quo Vadis", CVPR 2017, section 2.4).

A two-dimensional kernel is repeated over time and divided by the number of repetitions. A "boring video", one image
again and again, then has the activations of the image at every moment that sees no temporal padding.

torchvision's image networks fill these: `googlenet` (Inception-v1 with batch normalisation; expects [-1, 1] as the
video network does) every Inception-v1 trunk, inflated or not; `resnet50` and `resnet101` the Slow-only, I3D- and
C2D-ResNets and the slow pathway of SlowFast. A file of BN-Inception, which torchvision lacks, fills the backbone of
TSN; its blocks are others than Inception-v1's, so it has no inflated twin.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor, nn

from sf_detect.errors import ConfigError, WeightsMismatchError
from sf_detect.models.bn_inception import BNInception
from sf_detect.models.inception_i3d import INCEPTION_BLOCKS, InceptionV1
from sf_detect.models.slowfast import SlowFast

#: torchvision's image networks that can be inflated.
IMAGE_NETWORKS = ("googlenet", "resnet50", "resnet101")
_FIRST_CONVOLUTIONS = ("conv1_7x7_s2.weight", "conv_1a.conv.weight")
_CLASSIFIERS = ("fc.", "aux1.", "aux2.", "last_linear.")
_COUNTER = ".num_batches_tracked"


def inflate(kernel: Tensor, length: int) -> Tensor:
    """(out, in, length, H, W) out of an image kernel (out, in, H, W): repeated over time, divided by `length`."""
    return kernel.unsqueeze(2).repeat(1, 1, length, 1, 1) / length


def across_channels(kernel: Tensor, channels: int) -> Tensor:
    """Averages a kernel (out, in, ...) over its inputs and repeats it for `channels` of them.

    Cross-modality initialisation (Wang et al., "Temporal Segment Networks", ECCV 2016, section 3.2).
    """
    return kernel.mean(1, keepdim=True).repeat_interleave(channels, 1)


def across_modalities(state: Mapping[str, Tensor], channels: int) -> dict[str, Tensor]:
    """Weights of an RGB network for its twin of other inputs, by `across_channels` of the first convolution.

    Args:
        state: State dict of an RGB network: `BNInception`, `TSN` or an Inception-v1 network such as `InceptionI3D`.
        channels: Of the other modality.

    Raises:
        ConfigError: There is no first convolution of three channels.
    """
    first = [name for name in state if name.endswith(_FIRST_CONVOLUTIONS)]
    if len(first) != 1 or state[first[0]].shape[1] != 3:
        found = [tuple(state[name].shape) for name in first]
        raise ConfigError(f"cross-modality initialisation starts from an RGB network, got first convolutions {found}")
    return {**state, first[0]: across_channels(state[first[0]], channels)}


def initialise_from_image(network: nn.Module, image: Mapping[str, Tensor]) -> list[str]:
    """Gives every part of a network that has an image twin the weights of the image network.

    Classifiers, non-local blocks, the fast pathway and the columns that read lateral connections keep their values. A
    first convolution of other than three channels gets the RGB weights by `across_channels`.

    Args:
        network: Holds Inception-v1 trunks (`InceptionV1`: every Inception-I3D and the structures of "Quo Vadis") or a
            `BNInception` (TSN), or is a `SlowFast` network.
        image: The state dict of an image network; see `zoo.image_networks.image_weights`.

    Returns:
        The names of parameters and buffers that were not touched.

    Raises:
        ConfigError: The network has no part of the image network's family.
        WeightsMismatchError: The image network is of another depth or width. Nothing is changed then.
    """
    state = dict(image)
    kind, rename = _family(state)
    renamed = {new: value for n, value in state.items() if not n.endswith(_COUNTER) and (new := rename(n)) is not None}
    own = network.state_dict()
    filled: dict[str, Tensor] = {}
    for prefix, part in _parts(network, kind):
        names = {n for n in part.state_dict() if _has_twin(part, n) and not n.endswith(_COUNTER)}
        missing, unexpected = names - renamed.keys(), renamed.keys() - names
        fitted = {n: _fit(renamed[n], own[prefix + n]) for n in names & renamed.keys()}
        wrong = [
            f"{n} {tuple(renamed[n].shape)} for {tuple(own[prefix + n].shape)}" for n in fitted if fitted[n] is None
        ]
        if missing or unexpected or wrong:
            raise WeightsMismatchError(f"{type(part).__name__} (from an image network)", missing, unexpected, wrong)
        filled |= {prefix + n: value for n, value in fitted.items() if value is not None}
    if not filled:
        raise ConfigError(
            f"{type(network).__name__} has nothing that this image network fills; expected one with {kind.__name__} "
            "inside. googlenet fits Inception-v1 networks, resnet50 and resnet101 the SlowFast family, BN-Inception "
            "TSN."
        )
    network.load_state_dict({**own, **filled})
    return [name for name in own if name not in filled and not name.endswith(_COUNTER)]


def _parts(network: nn.Module, kind: type[nn.Module]) -> Iterator[tuple[str, nn.Module]]:
    for name, module in network.named_modules():
        if isinstance(module, kind):
            yield f"{name}." if name else "", module


def _has_twin(part: nn.Module, name: str) -> bool:
    """Whether the image network has this parameter too."""
    if isinstance(part, SlowFast):
        return ".pathway0_" in name and "nonlocal" not in name
    return isinstance(part, BNInception) or name.startswith("stages.")


def _fit(value: Tensor, own: Tensor) -> Tensor | None:
    """An image network's tensor in the shape of `own`; None where it has no place there."""
    if own.ndim == 1 and value.ndim == 2:  # public BN-Inception files keep normalisation as (1, C)
        value = value.squeeze(0)
    if value.ndim == 4 and value.shape[1] == 3 and own.shape[1] != 3:
        value = across_channels(value, own.shape[1])
    if value.ndim == 4 and own.ndim == 5:
        entering, value = own.shape[1], inflate(value, own.shape[2])
        if value.shape[1] < entering and value.shape[0] == own.shape[0]:
            # The slow pathway's input is followed by that of the lateral connection, which no image network has.
            value = torch.cat([value.to(own), own[:, value.shape[1] :]], 1)
    return value if value.shape == own.shape else None


def _family(state: Mapping[str, Tensor]) -> tuple[type[nn.Module], Callable[[str], str | None]]:
    if "inception3a.branch1.conv.weight" in state:
        return InceptionV1, _from_googlenet
    if "layer1.0.conv1.weight" in state:
        return SlowFast, _from_resnet
    if "inception_3a_1x1.weight" in state:
        return BNInception, lambda name: None if name.startswith(_CLASSIFIERS) else name
    raise ConfigError(
        f"these weights are of no image network that can be inflated; they start with {list(state)[:3]}. "
        f"Expected torchvision's {', '.join(IMAGE_NETWORKS)}, or BN-Inception's."
    )


_GOOGLENET_STEMS = {"conv1": "conv_1a", "conv2": "conv_2b", "conv3": "conv_2c"}
_GOOGLENET_BLOCKS = {
    f"inception{number}{letter}": name
    for number in (3, 4, 5)
    for letter, name in zip("abcde", [b for b in INCEPTION_BLOCKS if b.startswith(f"mixed_{number}")], strict=False)
}


def _from_googlenet(name: str) -> str | None:
    """Our name of a torchvision GoogLeNet tensor; None for its classifiers."""
    first, _, rest = name.partition(".")
    if name.startswith(_CLASSIFIERS):
        return None
    if first in _GOOGLENET_STEMS:
        return f"stages.{_GOOGLENET_STEMS[first]}.{rest}"
    if first not in _GOOGLENET_BLOCKS:
        return name
    branch = re.sub(r"^branch(\d)", lambda m: f"branch{int(m[1]) - 1}", rest)
    return f"stages.{_GOOGLENET_BLOCKS[first]}.{branch}"


_RESNET_LAYER = {
    "conv1": "branch2.a",
    "conv2": "branch2.b",
    "conv3": "branch2.c",
    "bn1": "branch2.a_bn",
    "bn2": "branch2.b_bn",
    "bn3": "branch2.c_bn",
    "downsample.0": "branch1",
    "downsample.1": "branch1_bn",
}
_RESNET_NAME = re.compile(r"^layer(?P<layer>\d)\.(?P<block>\d+)\.(?P<part>\w+?(?:\.\d)?)\.(?P<leaf>\w+)$")


def _from_resnet(name: str) -> str | None:
    """Our name of a torchvision ResNet tensor; None for its classifier."""
    if name.startswith(_CLASSIFIERS):
        return None
    match = _RESNET_NAME.match(name)
    if match is None or match["part"] not in _RESNET_LAYER:
        return re.sub(r"^(conv|bn)1\.", r"s1.pathway0_stem.\1.", name)
    stage = int(match["layer"]) + 1
    return f"s{stage}.pathway0_res{match['block']}.{_RESNET_LAYER[match['part']]}.{match['leaf']}"
