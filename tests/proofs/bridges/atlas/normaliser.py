"""The normaliser of a Mixer block, and the bounds of its witnesses."""

from collections.abc import Callable, Mapping

import pytest
import torch
from torch import nn

from expressivity.atlas import FAMILIES, Witness
from expressivity.atlas.canvas import OnTokens, bare_grid
from expressivity.atlas.inputs import output_weights
from expressivity.atlas.layers.mixer import MixerBlock, Mlp
from expressivity.atlas.witness import randomised
from proofs.engine import Formula
from tests.proofs.bridges.atlas.swap_symmetry import convolution, reader

SIZE = (4, 3)


def check(formulas: Mapping[str, Formula]) -> None:
    """Compare normalised tokens, and bounds: another token, the own, all of them."""
    normalised, bound, own, quarter = (
        formulas[name].function("math")
        for name in ("normalised", "bound", "own", "quarter")
    )
    check_normalised(normalised)
    conv = convolution()
    witness = FAMILIES["mixer"].refute(conv, SIZE)
    assert witness.violation() <= 1e-12
    raised = (witness.inputs[1] - witness.inputs[0])[0]
    (pixel,) = raised.nonzero().tolist()
    seen = output_weights(conv, SIZE, witness.query[0])
    shift = raised[*pixel].item()
    rows = [reader(row[:, *pixel]) for row in seen]
    largest = max(bound(conv.in_channels, shift, row) for row in rows)
    assert witness.bound == pytest.approx(largest, rel=1e-12)
    check_own(own)
    moved = FAMILIES["feed-forward-only"].refute(conv, SIZE)
    assert moved.violation() <= 1e-12
    largest = max(quarter(*column) for column in moved.targets.T.tolist())
    assert moved.bound == pytest.approx(largest, rel=1e-12)


def check_normalised(normalised: Callable[..., float]) -> None:
    for channels in (1, 2, 5):
        norm = MixerBlock(Mlp(2, 2), Mlp(channels, 2)).token_norm
        randomised(norm, channels).requires_grad_(False)
        generator = torch.Generator().manual_seed(1)
        # One more than is used: a wrong index must not stay unnoticed.
        x, weight, bias = torch.randn(3, channels + 1, generator=generator).double()
        weight[:channels], bias[:channels] = norm.weight, norm.bias
        found = norm(x[:channels]).tolist()
        for place, value in enumerate(found, start=1):
            expected = normalised(
                channels, place, reader(x), norm.eps, reader(weight), reader(bias)
            )
            assert value == pytest.approx(expected, rel=1e-12)


def check_own(own: Callable[..., float]) -> None:
    """Raise the query's own pixel, in two blocks without a head."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        conv = nn.Conv2d(3, 3, 3, padding=1, dtype=torch.float64)
    shift, here = 0.75, (2, 1)
    blocks = [MixerBlock(Mlp(12, 24), Mlp(3, 12)) for _ in range(2)]
    layer = randomised(OnTokens(nn.Sequential(*blocks), bare_grid(conv, SIZE)), 0)
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(2, 3, *SIZE, generator=generator, dtype=torch.float64)
    inputs[1] = inputs[0]
    inputs[1, :, *here] += shift
    witness = Witness.of(
        conv, inputs, (here, here), kind="", symmetry="", make=lambda _: layer
    )
    with torch.no_grad():
        before, after = witness.outputs(layer)
    moved = witness.targets[1] - witness.targets[0]
    torch.testing.assert_close(
        after - before, torch.full_like(moved, shift), atol=1e-12, rtol=0
    )
    for row, change in zip(output_weights(conv, SIZE, here), moved, strict=True):
        expected = abs(change.item() - shift) / 2
        assert own(3, shift, reader(row[:, *here])) == pytest.approx(expected, rel=1e-9)
