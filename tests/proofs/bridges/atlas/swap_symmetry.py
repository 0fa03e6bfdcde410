"""Content, external attention and SAGAN's block, and the bounds of their witnesses."""

from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor, nn

from expressivity.atlas import FAMILIES, Witness
from expressivity.atlas.inputs import output_weights
from expressivity.atlas.layers.biased import BiasedAttention
from expressivity.atlas.layers.external import ExternalAttention
from expressivity.atlas.layers.sagan import SelfAttentionBlock
from expressivity.atlas.witness import randomised
from expressivity.errors import ArgumentError
from proofs.engine import Formula

TOKENS, UNITS, SIZE = 5, 8, (4, 3)


def check(formulas: Mapping[str, Formula]) -> None:
    """Compare what a query gets, maxima over blocks, and the bounds of witnesses."""
    attended, external, pooled, bound, best = (
        formulas[name].function("math")
        for name in ("attended", "external", "pooled", "bound", "best")
    )
    check_content(attended)
    check_external(external)
    block = torch.tensor([[3.5, -1], [2, 5]])
    for _ in range(4):  # each pixel is the largest once
        found = SelfAttentionBlock(1).pool(block[None, None]).item()
        rest, *pair = (max(block[0].tolist()), *block[1].tolist())
        assert found == pooled(rest, *pair) == pooled(rest, *reversed(pair))
        block = block.flatten().roll(1).reshape(2, 2)
    conv = convolution()
    for family in ("content", "external", "sagan"):
        witness = FAMILIES[family].refute(conv, SIZE)
        assert witness.violation() <= 1e-12
        rows = exchanged(conv, witness)
        assert witness.bound == pytest.approx(max(bound(*row) for row in rows))
        largest = max(best(channels, a, d, 1.0) for channels, a, d, *_ in rows)
        assert witness.bound == pytest.approx(largest, rel=1e-12)
    nn.init.constant_(conv.weight, 0.25)
    with pytest.raises(ArgumentError, match="weighs differently"):
        FAMILIES["content"].refute(conv, (2, 2))


def convolution() -> nn.Conv2d:
    """Return a random convolution, the same every time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Conv2d(2, 3, 3, padding=1, dtype=torch.float64)


def exchanged(conv: nn.Module, witness: Witness) -> list[tuple]:
    """Return, for each output, channels, A, D, X and Y of two exchanged pixels."""
    first, second = witness.inputs
    (a, d) = (first != second).any(0).nonzero().tolist()
    torch.testing.assert_close(first[:, *a], second[:, *d], rtol=0, atol=0)
    seen = output_weights(conv, first.shape[1:], witness.query[0])
    return [
        (
            conv.in_channels,
            reader(row[:, *a]),
            reader(row[:, *d]),
            reader(first[:, *a]),
            reader(first[:, *d]),
        )
        for row in seen
    ]


def reader(numbers: Tensor) -> Callable[[int], float]:
    """Return a function of an index from one on, zero where there is nothing."""
    listed = numbers.tolist()
    return lambda c: listed[c - 1] if 1 <= c <= len(listed) else 0.0


def tokens() -> Tensor:
    """Return more tokens than are used: a wrong index must not stay unnoticed."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(TOKENS + 2, 2, generator=generator, dtype=torch.float64)


def check_content(attended: Callable[..., float]) -> None:
    layer = BiasedAttention(2, 1, heads=1, head_dim=3)
    randomised(layer, 0).requires_grad_(False)
    x = tokens()
    asked = layer.query(x[0])

    def score(token: Tensor) -> float:
        return (asked @ layer.key(token)).item() / 3**0.5

    def value(token: Tensor) -> float:
        return layer.output(layer.value(token)).item()

    expected = attended(TOKENS, lambda k: x[k - 1], score, value)
    assert layer(x[None, :TOKENS])[0, 0].item() == pytest.approx(expected, rel=1e-12)


def check_external(external: Callable[..., float]) -> None:
    layer = ExternalAttention(2, 1, heads=1, head_dim=3, units=UNITS)
    randomised(layer, 0).requires_grad_(False)
    x = tokens()
    # A unit beyond the last, for an index that is wrong.
    keys, values = (
        torch.cat([memory, memory[:1] + 1])
        for memory in (layer.memory_key, layer.memory_value)
    )

    def unit(place: int, token: Tensor) -> float:
        return (keys[place - 1] @ layer.query(token)).item()

    def out(place: int) -> float:
        return (layer.output.weight[0] @ values[place - 1]).item()

    seen = external(UNITS, TOKENS, x[0], lambda k: x[k - 1], unit, out)
    expected = seen + layer.output.bias.item()
    assert layer(x[None, :TOKENS])[0, 0].item() == pytest.approx(expected, rel=1e-12)
