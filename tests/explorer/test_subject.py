"""What a page holds of a layer that is too large for it computes the same numbers."""

import pytest
import torch
from torch import nn

from expressivity.accuracy import alpha_for
from expressivity.errors import ArgumentError, InputError, UnsupportedModuleError
from expressivity.explorer.document import from_json, to_json
from expressivity.explorer.quoted import Settings, fewer_heads, quotes
from expressivity.explorer.scene import LayerScene
from expressivity.explorer.subject import Subject


def subject(conv: nn.Module, *size: int) -> Subject:
    return Subject.of("layer", "Layer", conv, torch.randn(conv.in_channels, *size))


@pytest.mark.parametrize(
    ("conv", "size", "outputs", "window"),
    [
        (nn.Conv2d(1, 2, 3, padding=1), (9, 7), 2, (9, 7)),
        (nn.Conv2d(1, 2, 3, padding=1), (80, 60), 2, (24, 24)),
        (nn.Conv2d(64, 256, 3, padding=1), (28, 28), 104, (15, 15)),
        (nn.Conv2d(512, 512, 3, padding=1), (14, 14), 13, (8, 8)),
        (nn.Conv2d(8, 8, 3, groups=8), (12, 12), 8, (12, 12)),
        (nn.Conv2d(20_000, 20_000, 3, groups=20_000), (5, 5), 6666, (5, 5)),
        (nn.Conv1d(4, 4, 5), (40,), 4, (24,)),
    ],
    ids=[
        "small",
        "large image",
        "wide",
        "very wide",
        "depthwise",
        "many groups",
        "1-D",
    ],
)
def test_a_part_is_small_and_live(
    conv: nn.Module, size: tuple[int, ...], outputs: int, window: tuple[int, ...]
) -> None:
    part = subject(conv, *size).part
    assert part.conv.out_channels == outputs
    assert part.size == window
    assert part.is_live


def test_fewer_outputs_are_those_of_the_layer() -> None:
    conv = nn.Conv2d(600, 40, 3, padding=1).double()
    whole = Subject.of("wide", "Wide", conv, torch.randn(600, 4, 5).double())
    part = whole.part
    assert part.conv.out_channels == 11
    same = conv(whole.batch)[:, :11]
    assert torch.allclose(part.conv(part.batch), same)


def test_fewer_groups_are_those_of_the_layer() -> None:
    conv = nn.Conv2d(9000, 18_000, 3, groups=9000).double()
    whole = Subject.of("wide", "Wide", conv, torch.randn(9000, 3, 3).double())
    part = whole.part
    assert part.conv.groups == 3333
    assert part.image.shape == (3333, 3, 3)
    assert torch.allclose(part.conv(part.batch), conv(whole.batch)[:, :6666])


def test_what_no_browser_can_do_is_quoted_only() -> None:
    small = subject(nn.Conv2d(400, 1, 15), 17, 17).part
    assert small.size == (17, 17)
    assert small.is_live
    assert not subject(nn.Conv2d(400, 1, 15, padding=7), 17, 17).part.is_live


def test_a_layer_that_is_not_live_has_quotes_alone() -> None:
    whole = subject(nn.Conv2d(400, 1, 15, padding=7), 17, 17)
    scene = LayerScene.of(whole, Settings(alpha=8.0, alphas=()))
    document = scene.to_dict()
    assert document["live"] is False
    assert document["references"] == []
    assert document["heads"] is None
    [quote] = document["quotes"]
    assert quote["measured"] <= quote["bound"] * 6  # of an image within ±6


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(2, 3, (3, 2), padding="same", padding_mode="circular"),
        nn.Conv2d(4, 6, 3, stride=2, dilation=2, groups=2, bias=False),
        nn.Conv1d(2, 2, 3, padding=1).double(),
        nn.Conv2d(1, 1, 1).half(),
    ],
)
def test_a_page_gives_back_what_it_was_made_of(conv: nn.Module) -> None:
    size = (7, 8)[: conv.weight.dim() - 2]
    x = torch.randn(conv.in_channels, *size).to(conv.weight)
    whole = Subject.of("layer", "Layer", conv, x)
    back = from_json(to_json(whole))
    assert torch.equal(back.x, whole.batch)
    assert back.conv.weight.dtype == conv.weight.dtype
    assert torch.equal(back.conv(back.x), whole.conv(whole.batch))


def test_three_axes_are_refused() -> None:
    with pytest.raises(
        UnsupportedModuleError, match=r"over one or two axes, got Conv3d"
    ):
        subject(nn.Conv3d(1, 1, 1), 2, 2, 2)


@pytest.mark.parametrize(
    "x", [torch.ones(2, 1, 4, 4), torch.full((1, 4, 4), torch.nan)]
)
def test_one_image_of_finite_numbers_is_needed(x: torch.Tensor) -> None:
    with pytest.raises(InputError, match=r"one image of finite numbers"):
        Subject.of("layer", "Layer", nn.Conv2d(1, 1, 1), x)


def test_a_kernel_of_zeros_has_no_heads_to_count() -> None:
    conv = nn.Conv2d(1, 1, 3)
    nn.init.zeros_(conv.weight)
    assert fewer_heads(subject(conv, 5, 5)) is None


def test_a_page_starts_at_the_alpha_that_a_tolerance_needs() -> None:
    whole = subject(nn.Conv2d(2, 2, 3), 6, 6)
    settings = Settings(tolerance=1e-2, strategy="dense", alphas=(2.0,))
    start = settings.start(whole)
    assert start - 0.01 <= alpha_for(whole.conv, tolerance=1e-2) <= start
    assert round(start, 2) == start
    soft, sharp = quotes(whole, settings)
    assert soft.alpha == 2.0
    assert sharp.alpha == pytest.approx(start, rel=1e-7)
    assert (soft.strategy, sharp.strategy) == ("dense", "dense")
    assert sharp.exact <= 1e-2 < soft.exact
    assert sharp.measured <= sharp.worst * (1 + 1e-6) + sharp.rounding


def test_a_page_starts_at_two_by_default() -> None:
    assert Settings().start(subject(nn.Conv2d(1, 1, 1), 2, 2)) == 2.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": 25.0}, r"alpha needs α between 0\.1 and 24.*got alpha=25"),
        ({"alpha": 0.05}, r"alpha needs α between 0\.1 and 24"),
        ({"tolerance": 1e-13}, r"got tolerance=1e-13 with α = 3"),
        ({"alpha": 2.0, "tolerance": 0.1}, r"alpha or tolerance, not both"),
    ],
)
def test_an_alpha_that_no_page_has_is_refused(
    options: dict[str, float], message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        Settings(**options).start(subject(nn.Conv2d(1, 1, 3), 5, 5))
