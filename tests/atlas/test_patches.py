"""Attention between patches: fewer heads, each with a larger matrix."""

import math

import pytest
import torch
from torch import nn

from expressivity.atlas import FAMILIES
from expressivity.atlas.families.patches import (
    construct,
    patch_convolution,
    patch_heads,
    patch_size,
)
from expressivity.conversion import head_count
from expressivity.errors import ArgumentError
from tests.atlas.evidence import assert_computes, assert_error_falls, relative_error

PATCHES = FAMILIES["patches"]

CONVOLUTIONS = {
    "square": (lambda: nn.Conv2d(2, 3, 3, padding=1), (4, 6)),
    "two patches away": (lambda: nn.Conv2d(1, 2, 7, padding=3), (6, 4)),
    "strided": (lambda: nn.Conv2d(3, 2, 5, padding=2, stride=2), (4, 6)),
    "stride across patches": (lambda: nn.Conv2d(2, 2, 3, padding=1, stride=3), (6, 4)),
    "dilated": (lambda: nn.Conv2d(1, 2, 3, padding=2, dilation=2), (6, 4)),
    "one axis of two": (lambda: nn.Conv2d(2, 1, (1, 3), padding=(0, 1)), (4, 4)),
    "grouped": (lambda: nn.Conv2d(4, 2, 3, padding=1, groups=2, bias=False), (4, 4)),
    "even": (lambda: nn.Conv2d(1, 2, (4, 2), padding=(1, 0)), (4, 6)),
    "valid": (lambda: nn.Conv2d(2, 1, 3), (4, 6)),
    "one tap": (lambda: nn.Conv2d(2, 1, 1), (4, 6)),
}


def _offsets(kernel: int) -> range:
    return range(-((kernel - 1) // 2), kernel - (kernel - 1) // 2)


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_it_is_any_convolution(case: str) -> None:
    make, size = CONVOLUTIONS[case]
    assert_computes(PATCHES, make(), size, tolerance=1e-14)


@pytest.mark.parametrize("case", ["square", "dilated", "even"])
def test_the_error_falls_with_alpha(case: str) -> None:
    make, size = CONVOLUTIONS[case]
    assert_error_falls(PATCHES, make(), size, (4.0, 8.0, 12.0), rate=1)


def test_other_dtypes() -> None:
    conv = nn.Conv2d(2, 3, 3, padding=1)
    layer = PATCHES.construct(conv, (4, 8))
    assert next(layer.parameters()).dtype == torch.float32
    assert relative_error(layer, conv, (4, 8)) < 1e-6


@pytest.mark.parametrize("patch", [1, 2, 3, 6])
def test_patches_of_any_size(patch: int) -> None:
    conv = nn.Conv2d(2, 2, 5, padding=2).double()
    layer = construct(conv, (6, 6), 40.0, patch)
    assert layer.layer.attention.num_heads == (2 * math.ceil(4 / (2 * patch)) + 1) ** 2
    assert relative_error(layer, conv, (6, 6)) < 1e-14


@pytest.mark.parametrize("patch", [1, 2, 3, 4])
@pytest.mark.parametrize("kernel", range(1, 12))
def test_one_head_a_patch_in_reach(kernel: int, patch: int) -> None:
    heads = (2 * math.ceil((kernel - 1) / (2 * patch)) + 1) ** 2
    conv = nn.Conv2d(1, 1, kernel)
    assert patch_heads(conv, patch) == heads
    # As far as any tap of a pixel of the query's patch reaches, and no further.
    pixels = [q + delta for q in range(patch) for delta in _offsets(kernel)]
    reached = max(abs(pixel // patch) for pixel in pixels)
    assert heads == (2 * reached + 1) ** 2
    if kernel > 1:
        assert (heads == 9) == (kernel <= 2 * patch + 1)


@pytest.mark.parametrize("channels", [(1, 1), (1, 2), (3, 2)])
@pytest.mark.parametrize("patch", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
def test_how_many_heads_are_needed(
    kernel: int, patch: int, channels: tuple[int, int]
) -> None:
    """Taps on patches are Toeplitz: they span (2P − 1)² C_in C_out dimensions at most.

    So the heads are necessary, for a generic convolution, only below that number.
    """
    on_patches = patch_convolution(conv := nn.Conv2d(*channels, kernel), patch)
    most = (2 * patch - 1) ** 2 * math.prod(channels)
    assert head_count(on_patches).rank == min(patch_heads(conv, patch), most)


def test_axes_and_dilation_count_by_extent() -> None:
    assert patch_heads(nn.Conv2d(1, 1, (1, 3)), 2) == 3
    assert patch_heads(nn.Conv2d(1, 1, 3, dilation=2), 2) == 9
    assert patch_heads(nn.Conv2d(1, 1, 3, dilation=3), 2) == 25


def test_the_default_patch_divides_the_size() -> None:
    conv = nn.Conv2d(1, 1, 3, padding=1)
    assert [patch_size(conv, size) for size in ((8, 4), (6, 8))] == [4, 2]
    with pytest.raises(ArgumentError, match="sides are even, not 5×8"):
        PATCHES.construct(conv, (5, 8))


@pytest.mark.parametrize("patch", [0, 4])
def test_patches_must_tile(patch: int) -> None:
    conv = nn.Conv2d(1, 1, 3, padding=1)
    with pytest.raises(ArgumentError, match="patches that tile 6×8 pixels"):
        construct(conv, (6, 8), 40.0, patch)


@pytest.mark.parametrize(
    ("layer", "size", "message"),
    [
        (nn.Conv1d(1, 1, 3, padding=1), (8,), "two axes"),
        (
            nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular"),
            (8, 8),
            "zero padding",
        ),
        (nn.Conv2d(1, 1, 3, padding=2), (8, 8), "stand on pixels"),
    ],
)
def test_what_it_does_not_take(
    layer: nn.Module, size: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        PATCHES.construct(layer, size)


def test_a_misplaced_patch_is_found_out() -> None:
    """The check must be able to fail: here two heads are exchanged."""
    conv = nn.Conv2d(2, 3, 3, padding=1).double()
    layer = PATCHES.construct(conv, (4, 6))
    with torch.no_grad():
        centers = layer.layer.attention.centers
        centers.copy_(centers.flip(0))
    assert relative_error(layer, conv, (4, 6)) > 1e-2


def test_there_is_no_witness() -> None:
    with pytest.raises(ArgumentError, match="ask for the layer"):
        PATCHES.refute(nn.Conv2d(1, 1, 3, padding=1), (4, 4))
