"""Numbers of heads between patches, and the matrices that they carry."""

from collections.abc import Mapping
from itertools import product
from math import prod
from random import Random

import pytest
import torch
from torch import nn

from expressivity.atlas.families.patches import (
    patch_convolution,
    patch_heads,
    patch_reach,
)
from proofs.engine import Formula


def check(formulas: Mapping[str, Formula]) -> None:
    """Compare reaches, heads and the tap between every two pixels."""
    reach, count, tap = (
        formulas[name].function("math") for name in ("reach", "count", "tap")
    )
    for patch, dilation in ((1, 1), (2, 1), (3, 2), (4, 1)):
        for kernel in ((1, 2), (3, 9), (5, 11), (4, 7)):
            conv = nn.Conv2d(1, 1, kernel, dilation=dilation)
            extents = [dilation * (taps - 1) + 1 for taps in kernel]
            expected = tuple(reach(extent, patch) for extent in extents)
            assert patch_reach(conv, patch) == expected
            heads = prod(count(extent, patch) for extent in extents)
            assert patch_heads(conv, patch) == heads
    random = Random(0)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        for size, patch in (((3, 5), 2), ((7, 1), 3)):
            conv = nn.Conv2d(2, 3, size).double()
            between = patch_convolution(conv, patch)
            weight = between.weight.unflatten(1, (2, patch, patch))
            weight = weight.unflatten(0, (3, patch, patch))
            reaches = patch_reach(conv, patch)
            assert between.kernel_size == tuple(2 * r + 1 for r in reaches)
            for place in random.sample([*product(*map(range, weight.shape))], 300):
                o, *asking, c, b, d, row, column = place
                seen, patches = (b, d), (row, column)
                taps = tuple(
                    tap(patch, patches[i] - reaches[i], seen[i], asking[i])
                    + size[i] // 2
                    for i in (0, 1)
                )
                inside = all(0 <= t < k for t, k in zip(taps, size, strict=True))
                expected = conv.weight[(o, c, *taps)].item() if inside else 0.0
                assert weight[place].item() == pytest.approx(expected, abs=1e-14)
