"""Scores of the layer, and the paper's own factors."""

from collections.abc import Mapping
from random import Random

import torch

from expressivity.heads.encoding import (
    head_vectors,
    positional_scores,
    relative_encoding,
)
from proofs.engine import Formula


def check(formulas: Mapping[str, Formula]) -> None:
    """Compare the scores of every pair, from positions and from v · r."""
    random = Random(0)
    for axes in (1, 2, 3):
        score = formulas[f"score_{axes}"].function("math")
        alpha = torch.tensor([random.uniform(0.1, 9)], dtype=torch.float64)
        center = torch.tensor(
            [[random.uniform(-2, 2) for _ in range(axes)]], dtype=torch.float64
        )
        queries, size = [range(1, 4)] * axes, [4] * axes
        found = positional_scores(alpha, center, queries, size)[0]
        asked = torch.cartesian_prod(*map(torch.tensor, queries)).reshape(-1, axes)
        keys = torch.cartesian_prod(*(torch.arange(n) for n in size)).reshape(-1, axes)
        gaps = (keys - asked[:, None]).double()
        rows = [
            [score(alpha.item(), *gap, *center[0].tolist()) for gap in row]
            for row in gaps.tolist()
        ]
        expected = torch.tensor(rows, dtype=torch.float64)
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
        factors = relative_encoding(gaps) @ head_vectors(alpha, center)[0]
        constant = alpha * center.square().sum()
        torch.testing.assert_close(factors - constant, expected, rtol=1e-12, atol=1e-11)
