"""An image network followed by a recurrent one (Carreira and Zisserman, "Quo Vadis", CVPR 2017, section 2.1).

The LSTM is batch-normalised as in Cooijmans et al., "Recurrent Batch Normalization" (ICLR 2017).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sf_detect.errors import ConfigError
from sf_detect.models.c3d import require_several
from sf_detect.models.inception_i3d import FEATURES, InceptionV1

#: Frames of a training clip, five seconds at five frames a second.
FRAMES = 25
#: Initial scale of the normalised gates; at 1 their saturation stops the gradient (Cooijmans et al., section 4).
_INITIAL_SCALE = 0.1


class StepNorm(nn.Module):
    """Batch normalisation with one scale for all time steps, but the statistics of each.

    Args:
        channels: C.
        steps: Steps with statistics of their own; later ones share those of the last.
        shift: Learn a shift too.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, steps: int, *, shift: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels,), _INITIAL_SCALE))
        self.bias = nn.Parameter(torch.zeros(channels)) if shift else None
        self.register_buffer("running_mean", torch.zeros(steps, channels))
        self.register_buffer("running_var", torch.ones(steps, channels))

    def forward(self, x: Tensor, step: int) -> Tensor:
        """(B, C) of (B, C) at a time step."""
        step = min(step, len(self.running_mean) - 1)
        mean, variance = self.running_mean[step], self.running_var[step]
        return F.batch_norm(x, mean, variance, self.weight, self.bias, self.training, momentum=0.1)


class BatchNormLSTM(nn.Module):
    """An LSTM whose input, recurrent input and cell are batch-normalised.

    Args:
        inputs, hidden: Widths.
        steps: See `StepNorm`.
    """

    def __init__(self, inputs: int, hidden: int, steps: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.input = nn.Linear(inputs, 4 * hidden, bias=False)
        self.recurrent = nn.Linear(hidden, 4 * hidden, bias=False)
        self.bias = nn.Parameter(torch.zeros(4 * hidden))
        self.input_norm, self.recurrent_norm = StepNorm(4 * hidden, steps), StepNorm(4 * hidden, steps)
        self.cell_norm = StepNorm(hidden, steps, shift=True)
        nn.init.orthogonal_(self.recurrent.weight)
        with torch.no_grad():
            self.bias[:hidden] = 1.0  # remembers until it has learnt to forget

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (B, T, hidden) of inputs (B, T, inputs)."""
        h = cell = x.new_zeros(len(x), self.hidden)
        entering, outputs = self.input(x), []
        for step in range(x.shape[1]):
            gates = self.input_norm(entering[:, step], step) + self.recurrent_norm(self.recurrent(h), step) + self.bias
            forget, take, give, new = gates.chunk(4, 1)
            cell = forget.sigmoid() * cell + take.sigmoid() * new.tanh()
            h = give.sigmoid() * self.cell_norm(cell, step).tanh()
            outputs.append(h)
        return torch.stack(outputs, 1)


class ConvNetLSTM(nn.Module):
    """Inception-v1 on each frame, an LSTM over the frames.

    Args:
        num_classes: Classes.
        hidden: Units of the LSTM.
        frames: Of a training clip; testing takes any number (50 in the paper).
        dropout: In front of the classifier.
    """

    alpha = None
    loss_at_every_position = True  #: Training takes the loss of each time step's logits, not of their mean.

    def __init__(
        self, num_classes: int = 400, *, hidden: int = 512, frames: int = FRAMES, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.trunk = InceptionV1(inflated=False)
        self.lstm = BatchNormLSTM(FEATURES, hidden, frames)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(hidden, num_classes)

    def forward(self, pathways: Sequence[Tensor], boxes: Tensor | None = None) -> Tensor:
        """Logits in front of the softmax; training sees every time step's, since the loss is taken at each.

        Args:
            pathways: `[clip]`, (B, 3, T, H, W) in [-1, 1].
            boxes: Not used.

        Returns:
            In training (B, T, 1, 1, classes); in evaluation those of the last frame, (B, 1, 1, 1, classes).

        Raises:
            ConfigError: Not one RGB clip, or a training batch of one.
        """
        shapes = [tuple(x.shape) for x in pathways]
        if len(shapes) != 1 or len(shapes[0]) != 5 or shapes[0][1] != 3:
            raise ConfigError(f"ConvNet+LSTM takes one clip of shape (B, 3, T, H, W), got {shapes}")
        require_several(pathways[0], self)
        features = self.trunk.features(pathways[0])["mixed_5c"].mean((3, 4))
        outputs = self.lstm(features.transpose(1, 2))
        if not self.training:
            outputs = outputs[:, -1:]
        return self.classifier(self.dropout(outputs))[:, :, None, None]


def convnet_lstm(num_classes: int = 400, *, dropout: float = 0.0) -> ConvNetLSTM:
    """The "ConvNet+LSTM" of the paper (figure 2a)."""
    return ConvNetLSTM(num_classes, dropout=dropout)
