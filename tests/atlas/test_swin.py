"""Window attention: borders it can make up for, and what it cannot see."""

from itertools import product

import pytest
import torch
from torch import Tensor, nn

from expressivity.atlas import FAMILIES, Witness
from expressivity.atlas.families.swin import (
    construct,
    refute_border,
    refute_receptive_field,
)
from expressivity.atlas.layers.biased import BiasedAttention
from expressivity.atlas.layers.swin import WindowBias, Windows
from expressivity.errors import ArgumentError
from tests.atlas.evidence import (
    assert_cannot,
    assert_computes,
    assert_error_falls,
    relative_error,
)

SWIN = FAMILIES["swin"]


def conv(padding_mode: str = "zeros", **options: object) -> nn.Conv2d:
    torch.manual_seed(0)
    options = {"kernel_size": 3, "padding": 1} | options
    return nn.Conv2d(2, 3, padding_mode=padding_mode, **options).double()


@pytest.mark.parametrize("mode", ["replicate", "circular"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bias": False, "kernel_size": (1, 3), "padding": (0, 1)},
        {"kernel_size": 5, "padding": 2, "stride": 2},
        {"kernel_size": 5, "padding": 2, "stride": (1, 3)},
        {"padding": 2, "dilation": 2},
    ],
    ids=str,
)
def test_one_window_computes(mode: str, options: dict[str, object]) -> None:
    assert_computes(SWIN, conv(mode, **options), (4, 3))
    assert_error_falls(SWIN, conv(mode, **options), (4, 3), (6, 8, 10), rate=1)


@pytest.mark.parametrize(
    ("layer", "size"),
    [
        (nn.Conv2d(2, 4, 3, padding=1, padding_mode="circular", groups=2), (4, 3)),
        (nn.Conv2d(2, 1, 3), (4, 4)),  # no padding: no border
        (nn.Conv1d(1, 2, 3, padding=1, padding_mode="replicate"), (5,)),
        (nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"), (4, 3)),
        (nn.Conv2d(2, 3, 2, padding=1, stride=3, padding_mode="replicate"), (4, 4)),
    ],
    ids=str,
)
def test_others_that_it_computes(layer: nn.Module, size: tuple[int, ...]) -> None:
    if layer.padding == (1, 1) and layer.kernel_size == (2, 2):
        with pytest.raises(ArgumentError, match="outputs that stand on pixels"):
            SWIN.construct(layer, size)
        return
    assert_computes(SWIN, layer, size)
    assert_error_falls(SWIN, layer, size, (6, 8, 10), rate=1)


def test_in_float32() -> None:
    layer = conv("circular").float()
    assert relative_error(SWIN.construct(layer, (4, 3)), layer, (4, 3)) < 1e-6


@pytest.mark.parametrize("mode", ["replicate", "circular", "reflect"])
@pytest.mark.parametrize("stride", [1, 2])
def test_each_window_pads_on_its_own(mode: str, stride: int) -> None:
    layer = conv(mode, stride=stride)
    windows = construct(layer, (6, 4), 40.0, (3, 2))
    x = torch.randn(2, 2, 6, 4).double()
    bands = [
        torch.cat([layer(part) for part in band.split(2, 3)], 3)
        for band in x.split(3, 2)
    ]
    torch.testing.assert_close(windows(x), torch.cat(bands, 2), rtol=0, atol=1e-12)


def definition(layer: BiasedAttention, table: Tensor, window: Tensor) -> Tensor:
    """Return what the paper's formula gives for one window, in loops.

    Its table is addressed by query minus key.
    """
    height, width = window.shape[1:]
    cells = list(product(range(height), range(width)))
    tokens = torch.stack([window[:, r, c] for r, c in cells])
    query, key, value = (
        part(tokens).chunk(layer.heads, -1)
        for part in (layer.query, layer.key, layer.value)
    )
    seen = []
    for head in range(layer.heads):
        scores = query[head] @ key[head].mT / query[head].shape[-1] ** 0.5
        bias = [
            [table[head, a - c + height - 1, b - d + width - 1] for c, d in cells]
            for a, b in cells
        ]
        seen.append((scores + torch.tensor(bias)).softmax(-1) @ value[head])
    output = layer.output(torch.cat(seen, -1))
    return output.mT.reshape(-1, height, width)


def test_the_layer_is_that_of_the_paper() -> None:
    witness = refute_receptive_field(conv("circular"), (4, 6), (2, 3))
    layer = witness.layer(0).layer
    assert isinstance(layer, Windows)
    attention = layer.layer.layer
    assert isinstance(attention.position_bias, WindowBias)
    table = attention.position_bias.table.detach().flip(1, 2)
    x = torch.randn(1, 2, 4, 6).double()
    with torch.no_grad():
        output = layer(x)
        for r, c in product(range(2), range(2)):
            part = (..., slice(2 * r, 2 * r + 2), slice(3 * c, 3 * c + 3))
            wanted = definition(attention, table, x[part][0])
            torch.testing.assert_close(output[part][0], wanted)


def test_zero_padding_shows_on_a_constant_image() -> None:
    witness = SWIN.refute(conv(), (3, 4))
    assert witness.kind == "border"
    assert torch.equal(witness.inputs[0], witness.inputs[1])
    assert len(set(witness.query)) == 2
    assert_cannot(witness)


def test_nor_in_several_windows() -> None:
    assert_cannot(refute_border(conv(), (4, 4), (2, 2)), settings=20)


def test_other_windows_are_not_seen() -> None:
    witness = SWIN.refute(conv("circular"), (3, 4))
    assert witness.kind == "receptive field"
    assert_cannot(witness)


def test_nor_is_a_neighbour_seen_with_zero_padding_or_none() -> None:
    assert refute_receptive_field(conv(), (4, 4), (2, 4)).bound > 0
    assert SWIN.refute(conv(padding=0), (4, 4)).kind == "receptive field"


def test_exceptions() -> None:
    """A border that no constant shows, a kernel that stays within its window."""
    silent = conv()
    with torch.no_grad():
        silent.weight[:, :, [0, 2]] = 0
        silent.weight[:, :, :, [0, 2]] = 0
    with pytest.raises(ArgumentError, match="maps a constant image to different"):
        SWIN.refute(silent, (4, 4))
    pointwise = conv("replicate", kernel_size=1, padding=0)
    with pytest.raises(ArgumentError, match="an output that sees a pixel"):
        refute_receptive_field(pointwise, (4, 4), (2, 2))
    assert_computes(SWIN, pointwise, (4, 4))
    blocks = conv(kernel_size=2, stride=2, padding=0)
    with pytest.raises(ArgumentError, match="an output that sees a pixel"):
        refute_receptive_field(blocks, (4, 4), (2, 2))
    layer = construct(blocks, (4, 4), 40.0, (2, 2))
    assert relative_error(layer, blocks, (4, 4)) < 1e-12


def test_what_it_does_not_take() -> None:
    with pytest.raises(ArgumentError, match="needs padding that is not zeros"):
        SWIN.construct(conv(), (4, 4))
    with pytest.raises(ArgumentError, match="a reach of one to reflect"):
        SWIN.construct(conv("reflect", padding=2, dilation=2), (4, 4))
    with pytest.raises(
        ArgumentError, match=r"divide the image on every axis.*\(3, 4\)"
    ):
        construct(conv("circular"), (4, 4), 40.0, (3, 4))
    with pytest.raises(ArgumentError, match="zero padding for a border witness"):
        refute_border(conv("circular"), (4, 4))
    with pytest.raises(ArgumentError, match="ask for the layer"):
        refute_receptive_field(conv("circular"), (4, 4), (4, 4))


def test_a_witness_that_is_wrong_is_found_out() -> None:
    """The attack must be able to fail: here the pixel lies in the query's window."""
    honest = SWIN.refute(conv("circular"), (3, 4))
    inputs = torch.zeros_like(honest.inputs)
    inputs[0, :, 1, 1] = 1
    wrong = Witness.of(
        conv("circular"),
        inputs,
        ((1, 0), (1, 0)),
        kind="receptive field",
        symmetry="none",
        make=honest.make,
        scale=honest.scale,
    )
    assert wrong.violation() > 1e-3
    assert wrong.attack(200) < wrong.bound
