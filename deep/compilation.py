"""compile=True: training steps by `torch.compile`. The net itself stays as it is, and so do its names in files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import torch
from torch import nn

from fmkit.errors import InputError

from .distributed import n_processes


def compiled(net: nn.Module) -> nn.Module:
    """What to run a net by, with its own weights; it is compiled when it first meets rows."""
    if n_processes() > 1:
        raise InputError("compile=True is for one process: set compile=False where several share a fit")
    return cast(nn.Module, torch.compile(net))


@contextmanager
def told_without_compiler() -> Iterator[None]:
    """A sentence where torch cannot compile."""
    from torch._dynamo.exc import BackendCompilerFailed  # takes a second to load

    try:
        yield
    except BackendCompilerFailed as error:
        why = str(error.inner_exception).partition("\n")[0]
        raise InputError(
            f"compile=True: torch cannot compile here ({why}): install a C++ compiler such as g++, or set compile=False"
        ) from error
