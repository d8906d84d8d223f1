"""Weights of image networks, by torchvision's name or from a file, for video networks that start from one."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from urllib.error import URLError

from torch import Tensor
from torchvision.models import get_model_weights

from sf_detect.errors import UnknownNameError, WeightsDownloadError
from sf_detect.models.inflation import IMAGE_NETWORKS
from sf_detect.weights.checkpoint import read_checkpoint


def image_weights(source: str | os.PathLike[str]) -> dict[str, Tensor]:
    """The state dict of an image network.

    Args:
        source: One of `IMAGE_NETWORKS`, whose ImageNet weights torchvision downloads into its cache on first use; or a
            file with the state dict of one.

    Raises:
        UnknownNameError: Neither such a name nor a file.
        WeightsDownloadError: They cannot be fetched.
        WeightsFormatError: The file is no checkpoint.
    """
    if source in IMAGE_NETWORKS:
        official = get_model_weights(str(source))["IMAGENET1K_V1"]
        show = sys.stderr is not None and sys.stderr.isatty()
        try:
            return dict(official.get_state_dict(progress=show, check_hash=True, map_location="cpu", weights_only=True))
        except (URLError, OSError, RuntimeError) as error:
            raise WeightsDownloadError(
                f"the ImageNet weights of {source} cannot be fetched: {error}. Connect to the network and try again, "
                f"or fetch {official.url} elsewhere and give the file instead of the name."
            ) from error
    if not Path(source).is_file():
        raise UnknownNameError("image network or file", os.fspath(source), IMAGE_NETWORKS)
    return read_checkpoint(source).state
