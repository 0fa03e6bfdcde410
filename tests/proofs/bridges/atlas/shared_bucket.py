"""Buckets, attention with a bias a bucket, and witnesses for taps that share one."""

from collections.abc import Callable, Mapping
from math import exp

import pytest
import torch
from torch import nn

from expressivity.atlas import FAMILIES
from expressivity.atlas.canvas import OnTokens, padded_grid
from expressivity.atlas.layers.biased import BiasedAttention
from expressivity.atlas.layers.t5 import BucketBias, bucket
from expressivity.atlas.taps import one_head_a_tap
from expressivity.atlas.witness import randomised
from expressivity.errors import ArgumentError
from proofs.engine import Formula
from tests.proofs.bridges.atlas.swap_symmetry import exchanged

TOKENS, QUERY = 14, 2


def check(formulas: Mapping[str, Formula]) -> None:
    """Compare buckets, outputs and shares, and hold witnesses against their bound."""
    far, attended, found, bound = (
        formulas[name].function("math")
        for name in ("far", "attended", "found", "bound")
    )
    for buckets, most in ((32, 128), (16, 100), (48, 77)):
        side, alone = buckets // 2, buckets // 4
        for distance in range(1, 2 * most):
            near, sizes_of_side = distance < alone, (alone, side - alone, most)
            expected = distance if near else far(*sizes_of_side, distance)
            expected = min(expected, side - 1)
            sizes = {"buckets": buckets, "max_distance": most}
            assert bucket(-distance, **sizes) == expected
            assert bucket(distance, **sizes) == expected + side
    assert len({bucket(shift) for shift in range(-7, 8)}) == 15
    assert bucket(7) != bucket(8) == bucket(9) == bucket(11) != bucket(12)
    check_attended(attended)
    check_found(found)
    check_reach(bound)


def check_attended(attended: Callable[..., float]) -> None:
    table = BucketBias(TOKENS, 1)
    layer = BiasedAttention(2, 1, position_bias=table, heads=1, head_dim=3, scale=1.0)
    randomised(layer, 0).requires_grad_(False)
    generator = torch.Generator().manual_seed(1)
    # More tokens than are used: a wrong index must not stay unnoticed.
    x = torch.randn(TOKENS + 2, 2, generator=generator, dtype=torch.float64)
    asked = layer.query(x[QUERY])
    expected = attended(
        TOKENS,
        lambda place: table.table.weight[place % 32, 0].item(),
        lambda k: bucket(k - 1 - QUERY),
        lambda k: x[k - 1],
        lambda token: (asked @ layer.key(token)).item(),
        lambda token: layer.output(layer.value(token)).item(),
    )
    seen = layer(x[None, :TOKENS])[0, QUERY, 0].item()
    assert seen == pytest.approx(expected, rel=1e-12)


def check_found(found: Callable[..., float]) -> None:
    table = BucketBias(TOKENS, 1).double()
    for shift, keys in ((3, 1), (8, 4)):
        with torch.no_grad():
            table.table.weight.zero_()[bucket(shift)] = 1.5
            row = table()[0, QUERY].softmax(0)
        expected = found(exp(-1.5), keys, TOKENS)
        assert row[QUERY + shift].item() == pytest.approx(expected, rel=1e-13)


def check_reach(bound: Callable[..., float]) -> None:
    """Reach eight: a witness on ten pixels, and weights on nine."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        conv = nn.Conv1d(2, 3, 3, padding=8, dilation=8, dtype=torch.float64)
        dense = nn.Conv1d(2, 3, 21, padding=10, dtype=torch.float64)
    for refuted in (conv, dense):
        witness = FAMILIES["t5"].refute(refuted, (10,))
        assert witness.violation() <= 1e-12
        largest = max(bound(*row) for row in exchanged(refuted, witness))
        assert witness.bound == pytest.approx(largest, rel=1e-12)
    with pytest.raises(ArgumentError, match="weighs differently"):
        FAMILIES["t5"].refute(conv, (9,))
    grid = padded_grid(conv, (9,))
    bias = BucketBias(grid.canvas_size[0], 3).double()
    fourfold = nn.Conv1d(2, 3, 3, padding=8, dilation=8, dtype=torch.float64)
    fourfold.load_state_dict(conv.state_dict())
    with torch.no_grad():
        fourfold.weight[..., [0, 2]] *= 4
        bias.table.weight.zero_()
        for head, shift in enumerate((-8, 0, 8)):
            bias.table.weight[bucket(shift), head] = 40.0
        image = torch.randn(1, 2, 9, dtype=torch.float64)
        outputs = OnTokens(one_head_a_tap(fourfold, bias), grid)(image)
        torch.testing.assert_close(outputs, conv(image), rtol=1e-12, atol=1e-12)
