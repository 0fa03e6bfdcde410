"""Factors of a layer's scores, and what digits leave of a number."""

from collections.abc import Mapping

import pytest
import torch

import expressivity as ex
from expressivity.geometry import ConvGeometry
from expressivity.heads.factors import absolute_factors, digits
from proofs.engine import Formula


def check(formulas: Mapping[str, Formula]) -> None:
    """Compare scores with inner products, and digits with their bounds."""
    generator = torch.Generator().manual_seed(0)
    check_digits(formulas, generator)
    check_scores(formulas, generator)
    keys, left_out = [range(-9, 8)], formulas["left_out"].function("math")
    a, b, c = torch.randn(3, 20, generator=generator, dtype=torch.float64)
    places = torch.arange(-9, 8).double()
    terms = torch.stack([
        a[:, None] * places**2,
        b[:, None] * places,
        c[:, None].expand(-1, 17),
    ])
    for bits, levels in ((4, 1), (8, 2), (11, 3)):
        query, key = absolute_factors(a, b[:, None], c, keys, bits=bits, levels=levels)
        error = (query @ key.mT - terms.sum(0)).abs()
        allowed = left_out(bits, levels) + 1e-15
        assert (error <= allowed * terms.abs().sum(0)).all()


def check_digits(formulas: Mapping[str, Formula], generator: torch.Generator) -> None:
    digit, left = (formulas[name].function("math") for name in ("digit", "left"))
    values = 1e3 * torch.randn(200, generator=generator, dtype=torch.float64)
    for bits, count in ((4, 1), (8, 2), (11, 2), (8, 3)):
        rest = values - sum(digits(values, bits=bits, count=count))
        assert (rest.abs() <= left(bits, count) * values.abs()).all()
        whole = torch.randint(2 ** (bits * count), (200,), generator=generator).double()
        assert torch.equal(sum(digits(whole, bits=bits, count=count)), whole)
        worst = torch.tensor([2.0**bits + 1], dtype=torch.float64)
        (first,) = digits(worst, bits=bits, count=1)
        part = ((worst - first).abs() / worst).item()
        assert part == pytest.approx(digit(bits), rel=1e-15)


def check_scores(formulas: Mapping[str, Formula], generator: torch.Generator) -> None:
    quadratic, linear, constant = (
        formulas[name].function("math") for name in ("quadratic", "linear", "constant")
    )
    size = (4, 5)
    layer = ex.RelativeSelfAttention(
        1, 1, ConvGeometry.create((1, 1)), key_dim=2, dtype=torch.float64
    ).requires_grad_(False)
    for weight in (
        layer.alpha,
        layer.centers,
        layer.query_weight,
        layer.position_weight,
    ):
        weight.copy_(torch.randn(weight.shape, generator=generator).double())
    layer.alpha.abs_()
    layer.key_weight.zero_()
    x = torch.randn(1, 1, *size, generator=generator, dtype=torch.float64)
    # What a token asks of the encoding: p of the square, s of the displacement.
    asked = x.flatten()[:, None] * (layer.query_weight[0].mT @ layer.position_weight[0])
    p, s = asked[:, :1], asked[:, 1:]
    places = [range(length) for length in size]
    queries = torch.cartesian_prod(*map(torch.tensor, places)).double()
    targets, alpha = queries + layer.centers[0], layer.alpha.item()
    along = (alpha, targets, p, queries, s)
    factors = quadratic(alpha, p[:, 0]), linear(*along), constant(*along).sum(1)
    query, key = absolute_factors(*factors, places, bits=53, levels=1)
    found = query @ key.mT
    torch.testing.assert_close(found, layer.scores(x=x)[0, 0], rtol=1e-11, atol=1e-12)
