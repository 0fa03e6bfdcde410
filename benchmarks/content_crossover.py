"""Where a kernel a head overtakes the definition, for content terms in the softmax.

Prints, for growing inputs, how much longer ``fused`` takes than ``dense``: above 1 the
definition is faster. ``FEW_SCORES`` of ``strategies/select.py`` is read off here:

    .venv/bin/python -m benchmarks.content_crossover
"""

import argparse
import statistics
import time
from collections.abc import Callable
from itertools import product

import torch

import expressivity as ex
from expressivity.strategies.select import FEW_SCORES

SIDES, BATCHES, CHANNELS = (6, 8, 12, 16, 24, 32), (1, 8, 32), (16, 64)
MOST_SCORES = 2e8


def seconds(run: Callable[[], object], repeats: int) -> float:
    """Return the median time of a call, after one that does not count."""
    run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def passes(layer: ex.RelativeSelfAttention, x: torch.Tensor) -> tuple[float, float]:
    """Return the times of a forward pass and of a step of training, less the update."""

    def forward() -> None:
        with torch.no_grad():
            layer(x)

    def step() -> None:
        layer.zero_grad()
        layer(x).square().sum().backward()

    return seconds(forward, 5), seconds(step, 3)


def main() -> None:
    """Print the ratios."""
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    print("channels side batch  scores  fused / dense, forward and step:")
    for channels, side, batch in product(CHANNELS, SIDES, BATCHES):
        scores = 9 * batch * side**2 * (side + 2) ** 2
        if scores > MOST_SCORES:
            continue
        conv = torch.nn.Conv2d(channels, channels, 3, padding=1)
        layer = ex.attention_from_conv(conv, alpha=1.0).add_content_terms(16)
        torch.nn.init.normal_(layer.query_weight, std=0.1)
        x = torch.randn(batch, channels, side, side)
        times = []
        for layer.strategy in ("fused", "dense"):
            times.append(passes(layer, x))
        forward, step = (a / b for a, b in zip(*times, strict=True))
        chosen = "dense" if scores <= FEW_SCORES else "fused"
        print(
            f"{channels:8} {side:4} {batch:5} {scores:8.1e}  {forward:.2f} {step:.2f}"
            f"  auto: {chosen}"
        )


if __name__ == "__main__":
    main()
