"""Networks without values: names and shapes alone, for weights to be loaded into or compared with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

# Drawing random numbers takes time even where there is nothing to fill: on the "meta" device torch looks for shapes in
# its compiler, whose import takes longer than all else that a run starts with.
_RANDOM = (Tensor.normal_, Tensor.uniform_, nn.init.normal_, nn.init.uniform_, nn.init.kaiming_uniform_)


class _NothingRandom(TorchFunctionMode):
    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        if func in _RANDOM:
            return args[0] if args else given["tensor"]
        return func(*args, **given)


@contextmanager
def unfilled() -> Iterator[None]:
    """Networks built inside are on the "meta" device: no memory, no values, ready to be loaded into."""
    with torch.device("meta"), _NothingRandom():
        yield
