"""Softmax over whole canvases, and the product of one matrix an axis."""

from collections.abc import Mapping
from functools import reduce
from itertools import product
from random import Random

import torch
from torch import Tensor

from expressivity.attention import RelativeSelfAttention
from expressivity.geometry import ConvGeometry
from expressivity.heads.axis_product import AxisProduct
from expressivity.heads.smoothing import Axis, smoothing_matrix
from proofs.engine import Formula


def check(formulas: Mapping[str, Formula]) -> None:
    """Compare the layer, its factors and their product on 1, 2 and 3 axes."""
    factor = formulas["factor"].function("math")
    joint = formulas["joint"].function("math")
    random, generator = Random(0), torch.Generator().manual_seed(0)
    # The last is too large for the package to form one matrix of all axes.
    for size in [(4,), (3, 5), (1, 4), (2, 3, 4), (11, 12)]:
        alpha = random.uniform(0.05, 2)
        center = [random.uniform(-2, 2) for _ in size]
        layer = _layer(alpha, center)
        factors = [
            _tensor([
                [factor(alpha, q + shift, k, keys) for k in range(keys)]
                for q in range(keys)
            ])
            for keys, shift in zip(size, center, strict=True)
        ]
        found = layer.attention_probabilities(size=size)[0]
        _assert_close(found, reduce(torch.kron, factors))
        if size in {(3, 5), (1, 4)}:
            pixels = list(product(*map(range, size)))
            targets = [[q + c for q, c in zip(p, center, strict=True)] for p in pixels]
            rows = [[joint(alpha, *t, *k, *size) for k in pixels] for t in targets]
            _assert_close(found, _tensor(rows))
        matrices = [
            smoothing_matrix(Axis(keys, 0, keys), range(keys), shift, layer.alpha[0])
            for keys, shift in zip(size, layer.centers[0], strict=True)
        ]
        for matrix, expected in zip(matrices, factors, strict=True):
            _assert_close(matrix.dense(), expected)
        x = torch.randn(2, 3, *size, dtype=torch.float64, generator=generator)
        smoothed = AxisProduct.of(matrices)(x).flatten(2)
        _assert_close(smoothed, x.flatten(2) @ reduce(torch.kron, factors).mT)


def _layer(alpha: float, center: list[float]) -> RelativeSelfAttention:
    """Return a layer of one head, with a query at every pixel."""
    geometry = ConvGeometry.create((1,) * len(center))
    layer = RelativeSelfAttention(1, 1, geometry).double().requires_grad_(False)
    layer.alpha.fill_(alpha)
    layer.centers.copy_(_tensor([center]))
    return layer


def _tensor(rows: list) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def _assert_close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)
