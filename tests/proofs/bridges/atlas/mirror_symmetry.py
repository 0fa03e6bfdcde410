"""Linear biases, attention with them, and the bounds of witnesses."""

from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor, nn

from expressivity.atlas import FAMILIES, Witness
from expressivity.atlas.inputs import output_weights
from expressivity.atlas.layers.alibi import LinearBias
from expressivity.atlas.layers.biased import BiasedAttention
from expressivity.atlas.witness import randomised
from proofs.engine import Formula

TOKENS, QUERY = 6, 2


def check(formulas: Mapping[str, Formula]) -> None:
    """Compare biases, what a query gets, and bounds with one pair and with all."""
    bias, sided, attended, bound, best = (
        formulas[name].function("math")
        for name in ("bias", "sided", "attended", "bound", "best")
    )
    linear, leaning = LinearBias(TOKENS, 1), LinearBias(TOKENS, 1, sides=2)
    with torch.no_grad():
        linear.slopes.fill_(0.75)
        leaning.slopes.copy_(torch.tensor([[0.75 - 0.5, 0.75 + 0.5]]))
        even, uneven = linear()[0].tolist(), leaning()[0].tolist()
    for q in range(TOKENS):
        for k in range(TOKENS):
            assert even[q][k] == bias(0.75, k - q)
            assert uneven[q][k] == sided(0.75, 0.5, k - q)
    check_attended(attended)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        conv = nn.Conv1d(2, 3, 5, padding=2, dtype=torch.float64)
    witness = FAMILIES["alibi"].refute(conv, (7,))
    seen = output_weights(conv, (7,), witness.query[0])
    (here,) = witness.query[0]
    taps = [around(row, here) for row in seen]
    first = around(witness.inputs[0], here)
    assert witness.violation() <= 1e-12
    largest = max(bound(2, 3, kernel, first) for kernel in taps)
    assert witness.bound == pytest.approx(largest, rel=1e-12)
    check_all_pairs(conv, witness, best)


def around(numbers: Tensor, here: int) -> Callable[[int, int], float]:
    """Return a function of a channel, from one on, and a displacement."""
    listed = numbers.tolist()
    channels, length = numbers.shape
    return lambda c, t: listed[(c - 1) % channels][(here + t) % length]


def check_attended(attended: Callable[..., float]) -> None:
    linear = LinearBias(TOKENS, 1)
    layer = BiasedAttention(2, 1, position_bias=linear, heads=1, head_dim=3)
    randomised(layer, 0).requires_grad_(False)
    generator = torch.Generator().manual_seed(1)
    # More tokens than are used: a wrong index must not stay unnoticed.
    x = torch.randn(TOKENS + 2, 2, generator=generator, dtype=torch.float64)
    asked = layer.query(x[QUERY])
    expected = attended(
        TOKENS,
        linear.slopes.item(),
        lambda k: k - 1 - QUERY,
        lambda k: x[k - 1],
        lambda token: (asked @ layer.key(token)).item() / 3**0.5,
        lambda token: layer.output(layer.value(token)).item(),
    )
    found = layer(x[None, :TOKENS])[0, QUERY, 0].item()
    assert found == pytest.approx(expected, rel=1e-12)


def check_all_pairs(
    conv: nn.Conv1d, witness: Witness, best: Callable[..., float]
) -> None:
    """Mirror the image as a whole: the bound of the best input, for one output."""
    (here,) = witness.query[0]
    row = output_weights(conv, (7,), (here,))[0]
    signs = (row - row.flip(1)).sign()
    whole = Witness.of(
        conv,
        2.5 * torch.stack([signs, signs.flip(1)]),
        witness.query,
        kind="mirror",
        symmetry="",
        make=witness.make,
        scale=witness.scale,
    )
    assert whole.violation() <= 1e-12
    gap = (whole.targets[0, 0] - whole.targets[1, 0]).abs().item() / 2
    assert gap == pytest.approx(best(2, 3, around(row, here), 2.5), rel=1e-12)
