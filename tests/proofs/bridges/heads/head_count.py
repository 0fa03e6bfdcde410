"""Layers as sums of A ⊗ M, and the ranks of realigned layers and convolutions."""

from collections.abc import Callable, Mapping
from itertools import product

import numpy as np
import pytest
import torch
from numpy.linalg import matrix_rank
from torch import Tensor, nn

import expressivity as ex
from proofs.engine import Formula
from tests.oracles import operator


def check(formulas: Mapping[str, Formula]) -> None:
    """Compare operators with Σ A ⊗ M, and ranks with the numbers of heads."""
    torch.manual_seed(0)
    layer, span = (
        formulas[name].function("math") for name in ("layer", "generic_span")
    )
    _check_layer(layer)
    for kernel, channels, outputs, groups in (
        ((3, 3), 1, 1, 1),
        ((3, 3), 2, 2, 1),
        ((3, 3), 3, 4, 1),
        ((3, 3), 4, 4, 4),
        ((2, 2), 4, 6, 2),
        ((3,), 3, 5, 1),
        ((3,), 1, 2, 1),
    ):
        conv = _convolution(kernel, channels, outputs, groups)
        rank = span(kernel[0], len(kernel), channels, outputs, groups)
        assert _schmidt_rank(conv, channels, (4, 5)[: len(kernel)]) == rank
        assert matrix_rank(_unfolding(conv)) == rank
        assert ex.attention_from_conv(conv).num_heads == len(_unfolding(conv))
    laplacian = [[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]
    sobel = [[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]
    both = [sobel, np.transpose(sobel)]
    for kernels, rank in (([laplacian], 1), ([sobel], 1), (both, 2)):
        conv = _convolution((3, 3), 1, len(kernels), 1)
        conv.weight.data = torch.tensor(np.array(kernels))[:, None]
        assert _schmidt_rank(conv, 1, (4, 5)) == rank


def _check_layer(entry: Callable[..., float]) -> None:
    for heads, groups in ((1, 1), (3, 2), (5, 1)):
        layer = ex.RelativeSelfAttention(
            2, 4, ex.ConvGeometry.create((3,)), num_heads=heads, groups=groups
        ).double()
        with torch.no_grad():
            blocks = layer.heads().matrices()
            matrices = torch.stack([torch.block_diag(*head) for head in blocks]).mT
            maps = layer.attention_probabilities(size=(5,))
        read_matrix, read_map = _reader(matrices), _reader(maps)
        places = product(range(2), range(4), range(3), range(5))
        found = operator(layer, 2, (5,)).reshape(2, 5, 4, 3).permute(0, 2, 3, 1)
        for place in places:
            expected = entry(heads, read_matrix, read_map, *place)
            assert found[place].item() == pytest.approx(expected, abs=1e-14)
        assert _schmidt_rank(layer, 2, (5,)) == heads


def _reader(numbers: Tensor) -> Callable[..., float]:
    """Return a function of indices, which start again where they leave the numbers."""
    table = numbers.numpy()
    return lambda *place: table[tuple(np.mod(place, table.shape))]


def _convolution(
    kernel: tuple[int, ...], channels: int, outputs: int, groups: int
) -> nn.Conv1d | nn.Conv2d:
    kind = nn.Conv1d if len(kernel) == 1 else nn.Conv2d
    return kind(channels, outputs, kernel, padding=1, groups=groups).double()


def _unfolding(conv: nn.Conv1d | nn.Conv2d) -> np.ndarray:
    return conv.weight.detach().flatten(2).flatten(0, 1).T.numpy()


def _schmidt_rank(module: nn.Module, channels: int, size: tuple[int, ...]) -> int:
    """Return the rank with a row for each pair of pixels, a column of channels."""
    matrix = operator(module, channels, size).unflatten(0, (channels, -1))
    realigned = matrix.permute(1, 3, 0, 2).flatten(2).flatten(0, 1)
    return int(matrix_rank(realigned.numpy()))
