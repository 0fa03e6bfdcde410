"""Layers with and without a query bias, at a pixel that holds zeros."""

from collections.abc import Callable, Mapping
from itertools import product
from math import exp

import pytest
import torch
from torch import Tensor

from expressivity.atlas import FAMILIES
from expressivity.atlas.layers.augmented import AugmentingAttention
from expressivity.atlas.layers.standalone import StandAloneAttention
from expressivity.atlas.witness import randomised
from proofs.engine import Formula
from tests.proofs.bridges.atlas.swap_symmetry import convolution, exchanged, reader

CHANNELS, WIDTH = 2, 4
Layer = AugmentingAttention | StandAloneAttention


def check(formulas: Mapping[str, Formula]) -> None:
    """Compare outputs at one query from its scores, and the bounds of witnesses."""
    score, silent, bound = (
        formulas[name].function("math") for name in ("score", "silent", "bound")
    )
    for query_bias in (True, False):
        whole = AugmentingAttention(
            CHANNELS,
            size=(3, 2),
            heads=1,
            key_dim=WIDTH,
            value_dim=1,
            query_bias=query_bias,
        )
        window = StandAloneAttention(
            CHANNELS,
            1,
            window=(3, 3),
            heads=1,
            key_dim=WIDTH,
            value_dim=1,
            query_bias=query_bias,
        )
        for layer in (whole, window):
            randomised(layer, 0).requires_grad_(False)
            check_output(layer, score, silent)
    conv = convolution()
    for family in ("augmented-attention", "standalone", "rope"):
        witness = FAMILIES[family].refute(conv, (4, 3))
        assert witness.violation() <= 1e-12
        largest = max(bound(*row) for row in exchanged(conv, witness))
        assert witness.bound == pytest.approx(largest, rel=1e-12)


def check_output(
    layer: Layer, score: Callable[..., float], silent: Callable[..., float]
) -> None:
    """Compare the output at one pixel of a random image, then at the same, silent."""
    generator = torch.Generator().manual_seed(1)
    image = torch.randn(CHANNELS, 3, 2, generator=generator, dtype=torch.float64)
    row, column = 1, 0
    matrix = table(layer.query.weight[..., 0, 0])
    silenced = layer.query.bias is None
    bias = reader(torch.zeros(WIDTH) if silenced else layer.query.bias)
    for pixel in (image[:, row, column].clone(), torch.zeros(CHANNELS).double()):
        image[:, row, column] = pixel
        tokens, encodings = keys(layer, image, row, column)
        key, value = (
            torch.stack([
                token @ make.weight[..., 0, 0].T + make.bias for token in tokens
            ])
            for make in (layer.key, layer.value)
        )
        outputs = layer.output.weight.item() * value[:, 0] + layer.output.bias
        scores = [
            score(
                WIDTH,
                CHANNELS,
                1 if isinstance(layer, StandAloneAttention) else WIDTH**-0.5,
                matrix,
                reader(pixel),
                bias,
                reader(one_key),
                reader(encoding),
            )
            for one_key, encoding in zip(key, encodings, strict=True)
        ]
        weights = [exp(s) for s in scores]
        expected = (outputs.new_tensor(weights) @ outputs / sum(weights)).item()
        found = layer(image[None])[0, 0, row, column].item()
        assert found == pytest.approx(expected, rel=1e-11)
    if silenced:
        assert found == pytest.approx(silent(len(tokens), reader(outputs)), rel=1e-12)


def keys(
    layer: Layer, image: Tensor, row: int, column: int
) -> tuple[list[Tensor], list[Tensor]]:
    """Return the tokens that a pixel attends to, and the encodings of their keys."""
    tokens, encodings = [], []
    if isinstance(layer, AugmentingAttention):
        for i, j in product(range(3), range(2)):
            tokens.append(image[:, i, j])
            down, right = i - row + 2, j - column + 1  # tables begin at 1 − H, 1 − W
            encodings.append(layer.relative_height[down] + layer.relative_width[right])
        return tokens, encodings
    wide = torch.nn.functional.pad(image, [1, 1, 1, 1])
    for i, j in product(range(3), range(3)):
        tokens.append(wide[:, row + i, column + j])
        encodings.append(torch.cat([layer.row[i], layer.column[j]]))
    return tokens, encodings


def table(numbers: Tensor) -> Callable[[int, int], float]:
    """Return a function of a row and a column from one on, zero beyond the table."""
    rows = [reader(row) for row in numbers]
    return lambda i, c: rows[i - 1](c) if 1 <= i <= len(rows) else 0.0
