"""Gaussian attention: isotropic or not, heads become one-hot."""

import math
from itertools import product

import pytest
import torch
from torch import Tensor, nn

from expressivity.atlas import FAMILIES
from expressivity.atlas.families.gaussian import construct
from expressivity.atlas.layers.gaussian import head_vector, second_order_encoding
from expressivity.errors import ArgumentError
from expressivity.heads.leak import leak
from tests.atlas.evidence import assert_computes, assert_error_falls, relative_error

GAUSSIAN = FAMILIES["gaussian"]
CONVOLUTIONS = [
    (nn.Conv2d(2, 3, 3, padding=1), (3, 4)),
    (nn.Conv2d(3, 1, 5, padding=2, stride=2), (5, 4)),
    (nn.Conv2d(1, 2, (1, 3), padding=(0, 1), bias=False), (3, 4)),
    (nn.Conv2d(2, 4, 3, padding=2, dilation=2, groups=2), (3, 4)),
    (nn.Conv2d(2, 1, 2), (3, 4)),
    (nn.Conv2d(2, 2, 3, padding=1, padding_mode="replicate"), (3, 4)),
    (nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"), (3, 4)),
    (nn.Conv1d(2, 3, 3, padding=1, padding_mode="circular"), (6,)),
    (nn.Conv3d(1, 2, (1, 3, 3), padding=(0, 1, 1)), (2, 3, 3)),
]


@pytest.mark.parametrize(("conv", "size"), CONVOLUTIONS, ids=str)
def test_computes(conv: nn.Module, size: tuple[int, ...]) -> None:
    assert_computes(GAUSSIAN, conv, size)
    assert_error_falls(GAUSSIAN, conv, size, (6, 8, 10), rate=1)


def test_in_float32() -> None:
    conv, size = CONVOLUTIONS[0]
    layer = GAUSSIAN.construct(conv, size)
    assert relative_error(layer, conv, size) < 1e-6
    assert {p.dtype for p in layer.parameters()} == {torch.float32}


def rotated(angle: float, ratio: float) -> Tensor:
    """Return Σ⁻¹ / 2α with eigenvalues 1 and ``ratio``."""
    c, s = math.cos(angle), math.sin(angle)
    turn = torch.tensor([[c, -s], [s, c]], dtype=torch.float64)
    return turn @ torch.diag(torch.tensor([1.0, ratio]).double()) @ turn.mT


@pytest.mark.parametrize(("angle", "ratio"), [(0.4, 3.0), (math.pi / 4, 20.0)])
def test_no_anisotropic_head_leaks_more_than_its_smallest_eigenvalue(
    angle: float, ratio: float
) -> None:
    conv, size = nn.Conv2d(2, 3, 3, padding=1).double(), (4, 4)
    shape = rotated(angle, ratio)
    assert relative_error(construct(conv, size, 40.0, shape), conv, size) < 1e-12
    for alpha in (1.0, 2.0, 4.0):
        scores = construct(conv, size, alpha, shape).layer.position_bias().detach()
        one_hot = scores.softmax(-1).amax(-1)
        inside = scores.amax(-1) == 0  # targets on the canvas
        assert 1 - float(one_hot[inside].min()) <= leak(alpha, axes=2)


def test_the_rate_is_that_of_the_shortest_displacement() -> None:
    """Not of the axes: along the diagonal a key may be nearer than a neighbour."""
    conv, size = nn.Conv2d(1, 1, 3, padding=1).double(), (5, 5)
    shape = rotated(math.pi / 4, 20.0)
    steps = torch.tensor([n for n in product(range(-3, 4), repeat=2) if any(n)])
    lengths = ((steps.double() @ shape) * steps).sum(-1)
    shortest = float(lengths.min())
    assert steps[lengths.argmin()].abs().tolist() == [1, 1]
    errors = [
        relative_error(construct(conv, size, alpha, shape), conv, size)
        for alpha in (4.0, 6.0)
    ]
    assert math.log(errors[0] / errors[1]) / 2 == pytest.approx(shortest, rel=0.05)


def test_scores_are_a_product_of_a_head_vector_and_an_encoding() -> None:
    layer = construct(nn.Conv2d(1, 1, 3, padding=1), (3, 2), 1.5, rotated(0.3, 4.0))
    scores = layer.layer.position_bias.double()
    encoding = second_order_encoding(scores.displacement)
    for head, center in enumerate(scores.centers):
        precision = scores.precision[head]
        vector = head_vector(precision, center)
        constant = center @ precision @ center / 2
        torch.testing.assert_close(
            scores()[head], encoding @ vector - constant, rtol=1e-6, atol=1e-5
        )


def test_a_slanted_gaussian_does_not_clamp() -> None:
    """Beyond a border the nearest token is along the Gaussian, not straight on."""
    replicate = nn.Conv2d(1, 1, 3, padding=1, padding_mode="replicate").double()
    with pytest.raises(ArgumentError, match="or a diagonal covariance"):
        construct(replicate, (4, 4), 40.0, rotated(0.5, 10.0))
    upright = torch.diag(torch.tensor([1.0, 3.0]))
    layer = construct(replicate, (4, 4), 40.0, upright)
    assert relative_error(layer, replicate, (4, 4)) < 1e-12
    # The layer that was refused, by hand: right inside, wrong at the border.
    layer = construct(replicate, (4, 4), 40.0)
    spans = torch.linalg.cholesky(80 * rotated(0.5, 10.0))
    with torch.no_grad():
        layer.layer.position_bias.spans.copy_(spans)
        x = torch.randn(1, 1, 4, 4).double()
        gap = (layer(x) - replicate(x)).abs()[0, 0]
    assert float(gap[1:-1, 1:-1].max()) < 1e-12 < 1e-3 < float(gap.max())


def test_what_it_does_not_take() -> None:
    wide = nn.Conv2d(1, 1, 3, padding=2, padding_mode="replicate")
    with pytest.raises(ArgumentError, match="padding up to half the kernel"):
        GAUSSIAN.construct(wide)
    with pytest.raises(ArgumentError, match="ask for the layer with construct"):
        GAUSSIAN.refute(nn.Conv2d(1, 1, 3, padding=1))
