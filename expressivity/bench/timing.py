"""The time of several functions side by side, and the peak memory of one."""

import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from statistics import quantiles

import torch

WARM_UP = 3
FEWEST, MOST = 5, 60


@dataclass(frozen=True)
class Times:
    """Seconds of one call, over all rounds.

    Attributes:
        median: Half of the calls were faster.
        low: A quarter of the calls were faster.
        high: Three quarters of the calls were faster.
        rounds: Number of calls.
    """

    median: float
    low: float
    high: float
    rounds: int


def race(
    contenders: Mapping[str, Callable[[], object]],
    *,
    device: torch.device,
    seconds: float,
    seed: int = 0,
) -> dict[str, Times]:
    """Time functions in turn, in a random order each round.

    Args:
        contenders: The functions, by name.
        device: Where they run.
        seconds: About how long the race may take, after the warm-up.
        seed: Decides the order.

    Returns:
        The times of each.
    """
    first = {
        name: _warmed_up(function, device) for name, function in contenders.items()
    }
    rounds = round(seconds / max(sum(first.values()), 1e-9))
    rounds = min(max(rounds, FEWEST), MOST)
    order, shuffle = list(contenders), random.Random(seed).shuffle
    times: dict[str, list[float]] = {name: [] for name in order}
    for _ in range(rounds):
        shuffle(order)
        for name in order:
            times[name].append(_seconds(contenders[name], device))
    return {name: _times(times[name]) for name in contenders}


def peak_bytes(function: Callable[[], object], device: torch.device) -> int:
    """Return the peak of the memory that a call allocates.

    Args:
        function: What to call, once.
        device: Where it runs.

    Returns:
        Bytes of torch's allocator, beyond those in use before the call.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        function()
        torch.cuda.synchronize(device)
        return int(torch.cuda.max_memory_allocated(device)) - before
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler is talkative
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as profile:
        function()
    events = profile.profiler.kineto_results.events()
    steps: Iterator[int] = (e.nbytes() for e in events if e.name() == "[memory]")
    return max(accumulate(steps, initial=0))


def _warmed_up(function: Callable[[], object], device: torch.device) -> float:
    """Call a function a few times; return the seconds of the last."""
    return [_seconds(function, device) for _ in range(WARM_UP)][-1]


def _seconds(function: Callable[[], object], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    function()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def _times(seconds: list[float]) -> Times:
    low, median, high = quantiles(seconds, n=4, method="inclusive")
    return Times(median, low, high, len(seconds))
