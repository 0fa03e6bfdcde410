"""What a report says of heads, beside what is known of them."""

import json
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

import expressivity as ex
from expressivity.errors import ArgumentError
from expressivity.training import head_report, sharpness_penalty, tap_penalty
from expressivity.training.pixels import attended
from tests import oracles
from tests.cases import BASE, BASE_1D, BASE_3D, Case


def moved(case: Case, alpha: float = 1.5) -> ex.RelativeSelfAttention:
    layer = ex.attention_from_conv(case.conv(), alpha=alpha)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        shift = torch.rand(layer.centers.shape, generator=generator).double()
        layer.centers.add_(shift - 0.5)
    return layer


@pytest.mark.parametrize("case", [BASE, BASE_1D, BASE_3D], ids=str)
@torch.no_grad()
def test_masses_are_those_of_the_attention(case: Case) -> None:
    layer = moved(replace(case, kernel_size=(3,) * len(case.size), padding=0))
    size = (13,) * len(case.size)
    middle = (13 - 2) ** len(size) // 2  # of the queries
    probabilities = layer.attention_probabilities(size=size)[:, middle]
    (record,) = head_report(layer).layers
    pixels, differentiable = attended(layer)
    for head, mass, row in zip(
        record.heads, differentiable, probabilities, strict=True
    ):
        wanted = 1 - float(row.max())
        # The canvas ends six pixels off, where less than e^-38 is left.
        assert math.isclose(head.mass_off_pixel, wanted, rel_tol=1e-9, abs_tol=1e-12)
        assert math.isclose(float(mass), wanted, rel_tol=1e-9, abs_tol=1e-12)
    assert torch.equal(pixels, layer.centers.round())


def test_distances_are_to_pixels_and_taps() -> None:
    layer = ex.attention_from_conv(nn.Conv2d(1, 1, 3), alpha=4.0)
    with torch.no_grad():
        layer.centers[0] = torch.tensor([-1.0, 3.0])
        layer.centers[1] = torch.tensor([0.05, 0.05])
        layer.centers[2] = torch.tensor([0.25, 1.0])
    heads = head_report(layer).layers[0].heads
    assert [h.tap_distance for h in heads[:2]] == pytest.approx([2.0, 0.005**0.5])
    assert heads[0].pixel_distance == 0
    assert [h.whole_pixel for h in heads[:4]] == [True, True, False, True]
    assert heads[2].pixel_distance == pytest.approx(0.25)
    assert heads[1].mass_off_pixel > heads[3].mass_off_pixel


def test_a_conversion_is_its_own_nearest_convolution() -> None:
    (record,) = head_report(ex.attention_from_conv(BASE.conv())).layers
    assert record.relative_error < 1e-14
    scale = BASE.conv().weight.detach().abs().flatten(1).sum(1).max()
    assert record.scale == pytest.approx(float(scale))


@pytest.mark.parametrize("content", [None, 3])
def test_the_nearest_convolution_is_within_the_error(content: int | None) -> None:
    layer = (
        ex.attention_from_conv(BASE.conv(), alpha=2.5, content=content, gate=0.5)
        if content
        else ex.attention_from_conv(BASE.conv(), alpha=2.5)
    )
    with torch.no_grad():
        layer.centers[0] += 0.3
    (record,) = head_report(layer).layers
    bare = layer if content is None else layer.without_content()
    nearest = ex.conv_from_attention(bare, tolerance=1e9).conv
    largest = 0.0
    for seed in range(20):
        x = replace(BASE, seed=seed).input().sign()
        with torch.no_grad():
            gap = layer(x) - oracles.exact_convolution(nearest, x)
        largest = max(largest, float(gap.abs().max()))
    assert 0.05 * record.nearest_error < largest <= record.nearest_error
    assert 0 < record.relative_error < 2


def test_content_counts_as_error_in_its_share() -> None:
    layer = ex.attention_from_conv(BASE.conv(), alpha=60.0).add_content(2, gate=0.0)
    (record,) = head_report(layer).layers
    assert [head.content_share for head in record.heads] == [0.5] * 6
    assert record.relative_error == pytest.approx(0.5)


def test_heads_with_tables_are_where_they_attend_to() -> None:
    layer = ex.attention_from_conv(nn.Conv2d(1, 2, 3, padding=1), alpha=1.0)
    layer.add_table(low=[-2, -2], size=[5, 5])
    with torch.no_grad():
        layer.alpha.zero_()
        layer.table[0, 0, 3] = 10.0
    heads = head_report(layer).layers[0].heads
    assert heads[0].center == (-2.0, 1.0)
    assert heads[0].tap_distance == 1.0
    assert heads[0].mass_off_pixel == pytest.approx(24 / (24 + math.exp(10)), 1e-5)
    assert heads[1].mass_off_pixel == pytest.approx(24 / 25)


def test_layers_that_are_no_convolution_say_why() -> None:
    layer = ex.attention_from_conv(BASE.conv(), alpha=1.0).add_content_terms(2)
    nn.init.normal_(layer.query_weight)
    (record,) = head_report(layer).layers
    assert record.nearest_error is None
    assert record.relative_error is None
    assert "depend on the tokens" in record.reason
    assert "depend on the tokens" in str(head_report(layer))


def test_a_report_shows_itself() -> None:
    model = nn.Sequential(moved(BASE), nn.ReLU(), nn.Conv2d(8, 4, 1))
    report = head_report(ex.convert(model, alpha=4.0, content=2).model)
    assert repr(report) == "HeadReport(7 heads in 2 layers)"
    assert [layer.name for layer in report.layers] == ["0", "2"]
    lines = str(report).splitlines()
    assert any("0.018" in line and line.split()[1] == "2" for line in lines)
    loaded = json.loads(json.dumps(report.to_dict()))
    assert loaded["layers"][1]["heads"][0]["content_share"] == pytest.approx(
        0.018, 0.01
    )


@pytest.mark.parametrize("name", ["alpha", "centers", "gate", "bias"])
def test_numbers_have_to_be_finite(name: str) -> None:
    layer = ex.attention_from_conv(BASE.conv(), alpha=1.0).add_content(2)
    with torch.no_grad():
        getattr(layer, name).view(-1)[0] = torch.nan
    with pytest.raises(ArgumentError, match=f"got others in {name} of the layer"):
        head_report(nn.Sequential(layer)[0])


class TestPenalties:
    def test_lead_back_to_the_convolution(self) -> None:
        conv = BASE.conv()
        layer = moved(BASE, alpha=2.0)
        optimizer = torch.optim.Adam([layer.alpha, layer.centers], lr=0.05)
        before = head_report(layer).layers[0].relative_error
        for _ in range(300):
            optimizer.zero_grad()
            (tap_penalty(layer) + sharpness_penalty(layer)).backward()
            optimizer.step()
        (record,) = head_report(layer).layers
        assert max(head.tap_distance for head in record.heads) < 0.02
        assert record.relative_error < 0.05 < before
        back = ex.conv_from_attention(layer, tolerance=1e9).conv
        assert (back.weight - conv.weight).abs().max() < 0.05

    @pytest.mark.parametrize("penalty", [tap_penalty, sharpness_penalty])
    @pytest.mark.parametrize("case", [BASE, BASE_1D], ids=str)
    def test_have_the_gradients_of_their_values(
        self, penalty: object, case: Case
    ) -> None:
        layer = moved(case)

        def value(alpha: torch.Tensor, centers: torch.Tensor) -> torch.Tensor:
            return torch.func.functional_call(
                Penalised(layer, penalty),
                {"layer.alpha": alpha, "layer.centers": centers},
                (),
            )

        inputs = (layer.alpha.detach().clone(), layer.centers.detach().clone())
        assert torch.autograd.gradcheck(value, [i.requires_grad_() for i in inputs])

    def test_are_means_over_the_heads_of_all_layers(self) -> None:
        one, other = moved(BASE), moved(BASE_1D, alpha=0.5)
        for penalty in (tap_penalty, sharpness_penalty):
            together = penalty(nn.ModuleList([one, other]))
            wanted = (6 * penalty(one) + 3 * penalty(other)) / 9
            torch.testing.assert_close(together, wanted)


class Penalised(nn.Module):
    def __init__(self, layer: nn.Module, penalty: object) -> None:
        super().__init__()
        self.layer, self.penalty = layer, penalty

    def forward(self) -> torch.Tensor:
        return self.penalty(self.layer)
