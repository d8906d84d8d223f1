"""Networks of one pathway behind the interface of the zoo: `network(pathways, boxes=None)`."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from sf_detect.errors import ConfigError
from sf_detect.models.inception_i3d import InceptionI3D


class SinglePathwayInceptionI3D(InceptionI3D):
    """Inception-I3D that is called like every network of the zoo; the parameters are those of `InceptionI3D`."""

    def forward(self, clip: Sequence[Tensor] | Tensor, boxes: Tensor | None = None) -> Tensor:
        """Logits (B, classes) of `[clip]` or of the clip itself, (B, 3, T, H, W) in [-1, 1]. `boxes` are not used.

        Raises:
            ConfigError: Not one pathway of five axes.
        """
        pathways = [clip] if isinstance(clip, Tensor) else list(clip)
        if len(pathways) != 1 or pathways[0].ndim != 5:
            raise ConfigError(
                f"Inception-I3D takes one pathway of shape (B, 3, T, H, W), got {[tuple(x.shape) for x in pathways]}"
            )
        return super().forward(pathways[0])


def inception_i3d(num_classes: int = 400, dropout: float = 0.0) -> SinglePathwayInceptionI3D:
    """Inception-I3D for RGB."""
    return SinglePathwayInceptionI3D(num_classes, dropout)
