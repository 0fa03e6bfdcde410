"""Windows and partitions: what is lost there, and the bounds of their witnesses."""

from collections.abc import Callable, Mapping
from itertools import product

import pytest
import torch
from torch import nn

from expressivity.atlas import FAMILIES, Witness
from expressivity.atlas.families.swin import refute_receptive_field
from expressivity.atlas.inputs import output_weights, places
from expressivity.convolutions import convolve
from expressivity.geometry import ConvGeometry
from proofs.engine import Formula
from tests.proofs.bridges.atlas.swap_symmetry import exchanged, reader

SIZE, WINDOW = (4, 6), (4, 3)


def check(formulas: Mapping[str, Formula]) -> None:
    """Compare bounds with one unseen pixel and with all, and count what is lost."""
    bound, swap, losing, reads = (
        formulas[name].function("math")
        for name in ("bound", "exchanged", "losing", "reads")
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        conv = nn.Conv2d(2, 3, 3, padding=1, dtype=torch.float64)
    check_windows(conv, bound)
    witness = FAMILIES["repmlp"].refute(conv, SIZE)
    assert witness.violation() <= 1e-12
    largest = max(swap(*row) for row in exchanged(conv, witness))
    assert witness.bound == pytest.approx(largest, rel=1e-12)
    for window, kernel, axes in product((3, 4, 6), (1, 2, 3, 4), (1, 2)):
        check_counts(window, kernel, axes, losing, reads)
    check_counts(2, 5, 1, losing, None)  # no output keeps all


def check_windows(conv: nn.Conv2d, bound: Callable[..., float]) -> None:
    """Change one pixel, as the package does, then all that an output does not see."""
    witness = refute_receptive_field(conv, SIZE, WINDOW)
    assert witness.violation() <= 1e-12
    here = witness.query[0]
    seen = output_weights(conv, SIZE, here)
    (pixel,) = (witness.inputs[0] != witness.inputs[1]).any(0).nonzero().tolist()
    rows = [reader(row[:, *pixel]) for row in seen]
    largest = max(bound(2, 1, lambda c, p, row=row: row(c), 1.0) for row in rows)
    assert witness.bound == pytest.approx(largest, rel=1e-12)
    unseen = [p for p in places(SIZE) if p[1] // WINDOW[1] != here[1] // WINDOW[1]]
    signs = torch.zeros(2, *SIZE, dtype=torch.float64)
    for place in unseen:
        signs[:, *place] = seen[0][:, *place].sign()
    columns = [reader(seen[0][:, *place]) for place in unseen]
    whole = Witness.of(
        conv,
        2.5 * torch.stack([signs, -signs]),
        witness.query,
        kind="receptive field",
        symmetry="",
        make=witness.make,
        scale=witness.scale,
    )
    assert whole.violation() <= 1e-12
    gap = (whole.targets[0, 0] - whole.targets[1, 0]).abs().item() / 2

    def tap(channel: int, place: int) -> float:
        return columns[place - 1](channel) if 1 <= place <= len(columns) else 0.0

    expected = bound(2, len(unseen), tap, 2.5)
    assert gap == pytest.approx(expected, rel=1e-12)
    # The layer that computes the rest, on the worst of inputs, misses as much.
    rest = (seen[0] * whole.inputs[0]).sum().item()
    assert abs(rest) == pytest.approx(expected, rel=1e-12)


def check_counts(
    window: int,
    kernel: int,
    axes: int,
    losing: Callable[..., int],
    reads: Callable[..., float] | None,
) -> None:
    """Count the outputs of the middle window of three that read beyond it."""
    geometry = ConvGeometry.create((kernel,) * axes, padding="same")
    inside = torch.zeros(1, 1, *(3 * window,) * axes, dtype=torch.float64)
    middle = (0, 0, *(slice(window, 2 * window),) * axes)
    inside[middle] = 1
    taps = torch.ones(1, 1, *(kernel,) * axes, dtype=torch.float64)
    steps = {"stride": (1,) * axes, "dilation": (1,) * axes, "groups": 1}
    missing = kernel**axes - convolve(geometry.canvas(inside), taps, **steps)[middle]
    before, after = geometry.same_padding[0]
    assert int((missing > 0.5).sum()) == losing(window, before, after, axes)
    if reads is not None:
        expected = reads(window, before, after, axes)
        assert missing.sum().item() == pytest.approx(expected, rel=1e-12)
