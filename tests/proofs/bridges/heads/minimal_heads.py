"""Tables, matrices and numbers of heads, and heads that are too few."""

from collections.abc import Callable, Mapping
from functools import reduce
from math import sqrt

import numpy as np
import torch
from torch import nn

from expressivity.conversion import head_count
from proofs.engine import Formula

LAPLACIAN = np.array([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]])
SOBEL = np.array([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])
# Kernels of one channel, one an output, with ρ and the heads that are needed.
KERNELS = (
    ([LAPLACIAN], 1, 2),
    ([SOBEL], 1, 2),
    ([SOBEL, SOBEL.T], 2, 3),
    ([np.ones((3, 3))], 1, 1),
    ([np.array([[1.0, 0, 0]]), np.array([[0, 1.0, -1]])], 2, 2),  # in the limit only
    ([np.eye(3), np.ones((3, 3))], 2, 2),
)


def check(formulas: Mapping[str, Formula]) -> None:
    """Compare heads with the formulas, and attack the bound."""
    numbers = {name: formula.function("math") for name, formula in formulas.items()}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for conv in (
            nn.Conv2d(1, 2, 3),
            nn.Conv2d(4, 2, (2, 3), groups=2),
            nn.Conv1d(3, 2, 5),
            *(_convolution(kernels) for kernels, _, _ in KERNELS),
        ):
            for cut in (None, 2):
                _check_heads(conv.double().requires_grad_(False), cut, numbers)
    for kernels, rank, needed in KERNELS:
        count = head_count(_convolution(kernels))
        assert (count.rank, count.needed) == (rank, needed)
    _attack(numbers["bound"])


def _convolution(kernels: list[np.ndarray]) -> nn.Conv2d:
    conv = nn.Conv2d(1, len(kernels), kernels[0].shape, bias=False).double()
    conv.weight.data = torch.tensor(np.stack(kernels))[:, None]
    return conv


def _check_heads(
    conv: nn.Conv1d | nn.Conv2d, cut: int | None, numbers: Mapping[str, Callable]
) -> None:
    """Compare the heads for the largest components, all of them or ``cut - 1``."""
    unfolding = conv.weight.detach().flatten(2).movedim(2, 0).flatten(1).numpy()
    left, sizes, right = np.linalg.svd(unfolding, full_matrices=False)
    rank = int((sizes > 1e-12).sum()) if cut is None else cut - 1
    factors, basis = left[:, :rank], sizes[:rank, None] * right[:rank]
    signs = np.where(factors.sum(0) < -1e-12, -1, 1)
    if (abs(factors.sum(0)) < 1e-12).any():
        return  # both signs will do
    factors, basis = factors * signs, basis * signs[:, None]
    offsets = [reduce(numbers["offset"], row, 0.0) for row in factors.tolist()]
    tables, carried = [], []
    for component, matrix in zip(factors.T.tolist(), basis, strict=True):
        total = sum(component) + sum(offsets)
        if total > 1e-12:
            pairs = zip(component, offsets, strict=True)
            tables.append([numbers["probability"](f, g, total) for f, g in pairs])
            carried.append([numbers["carried"](total, b) for b in matrix])
    if (total := sum(offsets)) > 0:
        tables.append([numbers["probability"](0, g, total) for g in offsets])
        carried.append([
            numbers["last"](total, rank, lambda r, row=column: row[(int(r) - 1) % rank])
            for column in basis.T
        ])
    heads = head_count(conv).minimal(max_heads=cut)
    np.testing.assert_allclose(heads.tables, tables, rtol=0, atol=1e-12)
    np.testing.assert_allclose(heads.matrices.flatten(1), carried, rtol=0, atol=1e-12)
    missing = np.linalg.norm(unfolding - heads.tap_matrices().flatten(1).numpy())
    assert abs(missing - np.linalg.norm(sizes[rank:])) < 1e-12


def _attack(bound: Callable[[float, float, float], float]) -> None:
    """Hold the errors of random tables, with the best matrices, above the bound."""
    random = np.random.default_rng(0)
    for kernels, rank in (([LAPLACIAN], 1), ([SOBEL], 1), ([SOBEL, SOBEL.T], 2)):
        taps = np.stack(kernels).reshape(len(kernels), -1).T
        taps = taps[abs(taps).sum(1) > 0]
        least = bound(np.linalg.svd(taps)[1].min(), 1.0, sqrt(len(taps)))
        for _ in range(40):
            tables = random.random((len(taps), rank)) ** random.integers(1, 9)
            matrices = np.linalg.lstsq(tables, taps, rcond=None)[0]
            assert np.linalg.norm(taps - tables @ matrices, 2) > least > 0.3
