"""How much memory a call holds at once."""

from collections.abc import Callable
from itertools import accumulate

import torch
from torch import Tensor, nn


def peak_bytes(function: Callable[[], object]) -> int:
    """Return the most that torch holds at once on the CPU while a function runs."""
    return max(accumulate(_allocations(function), initial=0))


def peak_bytes_of_pass(layer: nn.Module, x: Tensor, *, trained: bool) -> int:
    """Return the most held during a forward pass, and during the backward pass too."""
    x.requires_grad_(trained)

    def run() -> None:
        with torch.set_grad_enabled(trained):
            output = layer(x)
        if trained:
            output.sum().backward()

    return peak_bytes(run)


def allocated_bytes(function: Callable[[], object]) -> int:
    """Return all that torch takes on the CPU while a function runs, one by one."""
    return sum(size for size in _allocations(function) if size > 0)


def _allocations(function: Callable[[], object]) -> list[int]:
    """Return the bytes taken while a function runs; given back, they are negative."""
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as profile:
        function()
    events = profile.profiler.kineto_results.events()
    return [event.nbytes() for event in events if event.name() == "[memory]"]
