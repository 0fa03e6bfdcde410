"""Softmax over whole canvases, and the product of one matrix an axis."""

from collections.abc import Mapping
from itertools import product
from math import prod
from random import Random

import torch

from expressivity.attention import RelativeSelfAttention
from expressivity.banded import AxisProduct
from expressivity.geometry import ConvGeometry
from expressivity.smoothing import Axis, smoothing_matrix
from proofs.engine import Formula


def check(formulas: Mapping[str, Formula]) -> None:
    """Compare the layer, its factors and their product on 1, 2 and 3 axes."""
    factor = formulas["factor"].function("math")
    joint = formulas["joint"].function("math")
    random = Random(0)
    for size in [(4,), (3, 5), (1, 4), (2, 3, 4)]:
        geometry = ConvGeometry.create((1,) * len(size))
        layer = RelativeSelfAttention(1, 1, geometry).double()
        alpha = random.uniform(0.05, 2)
        center = [random.uniform(-2, 2) for _ in size]
        with torch.no_grad():
            layer.alpha.fill_(alpha)
            layer.centers.copy_(torch.tensor([center], dtype=torch.float64))
            found = layer.attention_probabilities(*size)[0]
        pixels = list(product(*map(range, size)))
        axes = [
            [
                [factor(alpha, q + shift, k, keys) for k in range(keys)]
                for q in range(keys)
            ]
            for keys, shift in zip(size, center, strict=True)
        ]
        expected = [
            [
                prod(axis[a][b] for axis, a, b in zip(axes, q, k, strict=True))
                for k in pixels
            ]
            for q in pixels
        ]
        _assert_close(found, expected)
        if len(size) == 2:
            rows = [
                [
                    joint(alpha, q[0] + center[0], q[1] + center[1], *k, *size)
                    for k in pixels
                ]
                for q in pixels
            ]
            _assert_close(found, rows)
        matrices = [
            smoothing_matrix(Axis(keys, 0, keys), range(keys), shift, layer.alpha[0])
            for keys, shift in zip(size, layer.centers[0], strict=True)
        ]
        for matrix, entries in zip(matrices, axes, strict=True):
            _assert_close(matrix.dense(), entries)
        x = torch.randn(2, 3, *size, dtype=torch.float64)
        smoothed = AxisProduct.of(matrices)(x).flatten(2)
        _assert_close(smoothed, (x.flatten(2) @ found.mT).tolist())


def _assert_close(found: torch.Tensor, expected: list) -> None:
    wanted = torch.tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-14)
