"""Dropout whose draws do not depend on how many processes share a batch.

They are those of torch's own layers for the whole batch, of which a process takes its part.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from .distributed import drawn, is_shared


class Dropout(nn.Dropout):
    """Of units."""

    def forward(self, x: Tensor) -> Tensor:
        """Units, some of them 0, the others scaled up."""
        if not (self.training and is_shared()):
            return super().forward(x)
        return x * drawn(len(x), lambda n: functional.dropout(x.new_ones(n, *x.shape[1:]), self.p))


class Dropout2d(nn.Dropout2d):
    """Of whole channels."""

    def forward(self, x: Tensor) -> Tensor:
        """Channels, some of them 0, the others scaled up."""
        if not (self.training and is_shared()):
            return super().forward(x)
        return x * drawn(len(x), lambda n: functional.dropout2d(x.new_ones(n, x.shape[1], 1, 1), self.p))
