"""Networks of one pathway behind the interface of the zoo: `network(pathways, boxes=None)`."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from sf_detect.errors import ConfigError
from sf_detect.models.inception_i3d import InceptionI3D


class SinglePathwayInceptionI3D(InceptionI3D):
    """Inception-I3D that is called like every network of the zoo; the parameters are those of `InceptionI3D`."""

    alpha = None

    def forward(self, clip: Sequence[Tensor] | Tensor, boxes: Tensor | None = None) -> Tensor:
        """Logits (B, classes) of `[clip]` or of the clip itself, (B, C, T, H, W) in [-1, 1]. `boxes` are not used.

        Raises:
            ConfigError: Not one pathway of five axes and the network's channels.
        """
        pathways = [clip] if isinstance(clip, Tensor) else list(clip)
        if len(pathways) != 1 or pathways[0].ndim != 5 or pathways[0].shape[1] != self.in_channels:
            raise ConfigError(
                f"Inception-I3D takes one pathway of shape (B, {self.in_channels}, T, H, W), "
                f"got {[tuple(x.shape) for x in pathways]}"
            )
        return super().forward(pathways[0])


def inception_i3d(num_classes: int = 400, dropout: float = 0.0, *, in_channels: int = 3) -> SinglePathwayInceptionI3D:
    """Inception-I3D for RGB."""
    return SinglePathwayInceptionI3D(num_classes, dropout, in_channels=in_channels)


def inception_i3d_flow(num_classes: int = 400, dropout: float = 0.0) -> SinglePathwayInceptionI3D:
    """Inception-I3D for optical flow: x and y displacement, cut at 20 pixels and scaled to [-1, 1]."""
    return inception_i3d(num_classes, dropout, in_channels=2)
