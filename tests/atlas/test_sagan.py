"""SAGAN's block: pixels of one pooled block cannot be told apart."""

import pytest
import torch
from torch import nn

from expressivity.atlas import FAMILIES, Witness
from expressivity.atlas.layers.sagan import SelfAttentionBlock
from expressivity.atlas.witness import randomised
from expressivity.errors import ArgumentError
from tests.atlas.evidence import assert_cannot

CONTENT, SAGAN = FAMILIES["content"], FAMILIES["sagan"]


def conv(channels: int = 2, outputs: int = 3, **options: object) -> nn.Conv2d:
    torch.manual_seed(0)
    options = {"kernel_size": 3, "padding": 1} | options
    return nn.Conv2d(channels, outputs, **options).double()


@pytest.mark.parametrize("outputs", [2, 3], ids=["the block", "and a projection"])
def test_pixels_of_a_block_cannot_be_told_apart(outputs: int) -> None:
    assert_cannot(SAGAN.refute(conv(outputs=outputs), (4, 3)))


def test_blocks_cannot_be_told_apart_either() -> None:
    """Here the canvas is the image: no padding, so that blocks are blocks of it."""
    convolution = conv(kernel_size=5, padding=0)
    honest = SAGAN.refute(convolution, (6, 6))
    first = torch.randn(2, 6, 6).double()
    second = first.clone()
    second[:, :2, :2], second[:, 4:, 2:4] = first[:, 4:, 2:4], first[:, :2, :2]
    witness = Witness.of(
        convolution,
        torch.stack([first, second]),
        ((0, 0), (0, 0)),
        kind="swap",
        symmetry="exchanged blocks permute keys and values alike",
        make=honest.make,
        scale=honest.scale,
    )
    assert_cannot(witness, settings=50)


def test_without_pooling_any_two_pixels_cannot_be_told_apart() -> None:
    convolution = conv(outputs=2)
    honest = CONTENT.refute(convolution, (4, 3))
    x = honest.inputs.clone()
    x[(slice(None), slice(None), *honest.query[0])] = 0.7  # the same in both
    for seed in range(20):
        block = randomised(SelfAttentionBlock(2, pooled=False), seed)
        out = block(x)[(slice(None), slice(None), *honest.query[0])]
        torch.testing.assert_close(out[0], out[1])


def test_the_block_is_what_the_paper_says() -> None:
    block = randomised(SelfAttentionBlock(16, pooled=False), seed=0)
    x = torch.randn(1, 16, 2, 3).double()
    f, g, h = (m(x)[0].flatten(1) for m in (block.theta, block.phi, block.g))
    attention = (f.mT @ g).softmax(1)  # (query, key)
    seen = (h @ attention.mT).reshape(1, 8, 2, 3)
    torch.testing.assert_close(block(x), x + block.sigma * block.output(seen))
    assert (block.theta.out_channels, block.g.out_channels) == (2, 8)


@pytest.mark.parametrize(
    "options",
    [
        {"channels": 1, "outputs": 1, "kernel_size": 5, "padding": 2},
        {"kernel_size": (1, 3), "padding": (0, 1), "bias": False},
        {"stride": 2},
        {"dilation": 2, "padding": 2},
        {"channels": 4, "outputs": 2, "groups": 2},
        {"padding": 0},
    ],
    ids=["5×5", "1×3", "stride", "dilation", "groups", "no padding"],
)
def test_the_block_computes_no_kind_of_convolution(options: dict) -> None:
    witness = SAGAN.refute(conv(**options), (6, 5))
    assert witness.bound > 0
    assert max(witness.violation(seed) for seed in range(20)) <= 1e-9


def test_what_the_block_is_not_asked() -> None:
    with pytest.raises(ArgumentError, match="needs two axes"):
        SAGAN.refute(nn.Conv1d(1, 1, 3, padding=1), (4,))
    with pytest.raises(ArgumentError, match="needs zero padding"):
        SAGAN.refute(conv(padding_mode="reflect"), (4, 4))
    with pytest.raises(ArgumentError, match="weighs differently"):
        SAGAN.refute(conv(kernel_size=1, padding=0), (4, 4))


def test_a_witness_for_the_block_that_is_wrong_is_found_out() -> None:
    """Exchanging pixels of different blocks changes the maxima."""
    convolution = conv(padding=0)
    honest = SAGAN.refute(convolution, (4, 4))
    torch.manual_seed(1)
    first = 2 * torch.randn(2, 4, 4).double()
    second = first.clone()
    second[:, 0, 1], second[:, 3, 3] = first[:, 3, 3], first[:, 0, 1]
    wrong = Witness.of(
        convolution,
        torch.stack([first, second]),
        ((0, 0), (0, 0)),
        kind="swap",
        symmetry="none",
        make=honest.make,
        scale=honest.scale,
    )
    assert max(wrong.violation(seed) for seed in range(20)) > 1e-3
    assert wrong.attack(200) < 0.9 * wrong.bound
