"""Few rows are formed, and none that is left out is larger."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from expressivity.accuracy.layer import deviation
from torch import Tensor, nn

import expressivity as ex
from expressivity.accuracy import (
    Deviation,
    WorstRows,
)
from expressivity.accuracy.rows import search as row_search
from tests.cases import MODES, Case

SIZES = {1: (41,), 2: (23, 20), 3: (13, 12, 11)}
over_layers = pytest.mark.parametrize(
    ("axes", "mode", "padding", "alpha", "moved"),
    [
        (axes, mode, padding, alpha, moved)
        for axes, paddings, alphas in (
            (1, (0, 1, 2), (0.7, 4.0, 20.0)),
            (2, (0, 1, 2), (1.5, 9.0)),
            (3, (1,), (20.0,)),
        )
        for mode in MODES
        for padding in paddings
        for alpha in alphas
        for moved in (False, True)
    ],
)


def layer(axes: int, mode: str, padding: int, alpha: float, moved: bool) -> Deviation:
    """Return a layer less its convolution, as converted or with all heads moved."""
    case = Case(
        kernel_size=(3, 2, 3)[:axes],
        size=SIZES[axes],
        in_channels=2,
        out_channels=3,
        padding=padding,
        padding_mode=mode,
    )
    conv = case.conv()
    attention = ex.attention_from_conv(conv, alpha=alpha)
    if moved:
        generator = torch.Generator().manual_seed(axes)
        with torch.no_grad():
            for parameter, by in ((attention.alpha, 0.2), (attention.centers, 0.3)):
                noise = torch.rand(parameter.shape, generator=generator).double()
                parameter.add_(by * noise)
            attention.output_weight.mul_(1.01)
    return deviation(attention, conv)


class Recorded(row_search.RowSearch):
    """Remembers all norms that were formed."""

    formed: dict[tuple[int, ...], Tensor]

    def _keep(self, sums: Tensor, outputs: Tensor, outer: Any, queries: Tensor) -> None:
        super()._keep(sums, outputs, outer, queries)
        for index, query in enumerate(queries.tolist()):
            norms = sums[:, index].sum(dim=(1, 2))
            self.formed[(*outer, query)] = norms


def searched(
    monkeypatch: pytest.MonkeyPatch,
    difference: Deviation,
    size: tuple[int, ...],
    change: Callable[[Tensor], Tensor] = lambda bounds: bounds,
) -> tuple[WorstRows, dict[tuple[int, ...], Tensor], list[Tensor]]:
    """Return the worst rows, all norms that were formed, and the bounds of all."""
    bounds: list[Tensor] = []
    genuine = row_search.row_bounds

    def changed(*args: Any) -> Tensor:
        bounds.append(genuine(*args))
        return change(bounds[-1].clone())

    formed: dict[tuple[int, ...], Tensor] = {}
    Recorded.formed = formed
    with monkeypatch.context() as patch:
        patch.setattr(row_search, "row_bounds", changed)
        patch.setattr("expressivity.accuracy.deviation.RowSearch", Recorded)
        return difference.largest(size), formed, bounds


def unbounded(bounds: Tensor) -> Tensor:
    return torch.full_like(bounds, torch.inf)


@over_layers
def test_no_row_exceeds_its_bound(
    monkeypatch: pytest.MonkeyPatch,
    axes: int,
    mode: str,
    padding: int,
    alpha: float,
    moved: bool,
) -> None:
    difference, size = layer(axes, mode, padding, alpha, moved), SIZES[axes]
    found, few, _ = searched(monkeypatch, difference, size)
    wanted, every, (bounds,) = searched(monkeypatch, difference, size, unbounded)
    assert len(every) == bounds[0].numel()
    for place, norms in every.items():
        bound = bounds.movedim(0, -1)[place]
        assert (norms <= bound * (1 + 1e-12) + 1e-300).all(), place
    assert set(few) <= set(every)
    torch.testing.assert_close(found.above, wanted.above, rtol=4e-12, atol=1e-300)
    assert (found.above >= wanted.below).all()
    assert (found.below <= wanted.above).all()


@pytest.mark.parametrize("mode", ["zeros", "circular", "reflect"])
@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("alpha", [1.5, 9.0])
def test_most_rows_are_not_formed(
    monkeypatch: pytest.MonkeyPatch, mode: str, padding: int, alpha: float
) -> None:
    difference = layer(2, mode, padding, alpha, moved=False)
    _, formed, (bounds,) = searched(monkeypatch, difference, SIZES[2])
    assert len(formed) <= 0.4 * bounds[0].numel()


def test_a_bound_that_is_too_small_would_be_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    difference = layer(2, "zeros", 0, 9.0, moved=False)
    _, every, (bounds,) = searched(monkeypatch, difference, SIZES[2], unbounded)
    ratios = torch.stack([
        (norms / bounds.movedim(0, -1)[place]).max() for place, norms in every.items()
    ])
    near_borders = ratios[ratios < 1 - 1e-9]
    assert len(near_borders) > 10
    assert near_borders.max() > 0.99


def test_heads_that_share_outer_axes_share_their_products() -> None:
    conv = nn.Conv2d(1, 1, (5, 3), padding=(2, 1), dtype=torch.float64)
    weights = deviation(ex.attention_from_conv(conv, alpha=2.0), conv)
    alike, alone = weights.largest((21, 19)), deviation(unequal(conv), conv)
    torch.testing.assert_close(
        alike.above, alone.largest((21, 19)).above, rtol=1e-9, atol=0
    )


def unequal(conv: nn.Conv2d) -> ex.RelativeSelfAttention:
    """Return a layer whose heads all differ by a hair, so that nothing is shared."""
    attention = ex.attention_from_conv(conv, alpha=2.0)
    with torch.no_grad():
        attention.alpha.mul_(1 + 1e-12 * torch.arange(15, dtype=torch.float64))
    return attention
