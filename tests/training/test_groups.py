"""Groups of parameters and clamped strengths."""

import warnings

import pytest
import torch
from torch import nn

import expressivity as ex
from expressivity.errors import ArgumentError, UnsupportedModuleError
from expressivity.training import clamp_alpha, parameter_groups


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.Conv2d(4, 2, 3, padding=1, bias=False),
        nn.Flatten(),
        nn.Linear(2 * 36, 3),
    )


def soft(**options: object) -> nn.Module:
    return ex.convert(network(), alpha=4.0, **options).model


def names_by_group(model: nn.Module, **options: object) -> dict[str, set[str]]:
    names = {id(p): name for name, p in model.named_parameters()}
    groups = parameter_groups(model, lr=0.1, **options)
    return {g["name"]: {names[id(p)] for p in g["params"]} for g in groups}


def test_every_parameter_is_in_the_group_of_its_kind() -> None:
    model = soft(content=2)
    model[2].add_content_terms(3)
    assert names_by_group(model) == {
        "projections": {
            "0.output_weight",
            "0.bias",
            "2.value_weight",
        },
        "positions": {"0.alpha", "0.centers", "0.gate", "2.alpha", "2.centers"},
        "content": {
            "0.query_weight",
            "0.key_weight",
            *(f"2.{n}_weight" for n in ("query", "key", "position")),
            "2.content_bias",
        },
        "others": {"1.weight", "1.bias", "4.weight", "4.bias"},
    }


def test_tables_are_positions() -> None:
    layer = ex.attention_from_conv(nn.Conv2d(1, 1, 3), heads="minimal")
    assert names_by_group(layer)["positions"] == {"alpha", "centers", "table"}


def test_rates_and_decay() -> None:
    model = soft(content=2)
    groups = parameter_groups(model, lr=0.1, positions_lr=0.7, weight_decay=0.3)
    found = {g["name"]: (g["lr"], g["weight_decay"]) for g in groups}
    usual = (0.1, 0.3)
    assert found == {
        "projections": usual,
        "positions": (0.7, 0.0),
        "content": usual,
        "others": usual,
    }


def test_optimisers_decay_no_position() -> None:
    model = soft(content=2)
    groups = parameter_groups(model, lr=0.1, weight_decay=0.5)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    torch.optim.AdamW(groups).step()
    moved = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    still = before.keys() - moved
    assert {name.split(".")[1] for name in still} >= {"alpha", "centers", "gate"}
    assert "0.output_weight" in moved
    assert "4.weight" in moved


def test_frozen_and_shared_parameters_are_counted_once_or_not_at_all() -> None:
    model = soft()
    model[0].centers.requires_grad_(False)
    twin = nn.ModuleList([model, model[2]])
    groups = parameter_groups(twin, lr=0.1)
    parameters = [id(p) for group in groups for p in group["params"]]
    assert len(parameters) == len(set(parameters))
    assert id(model[0].centers) not in parameters
    assert id(model[2].centers) in parameters


class TestWarnings:
    def test_a_saturated_layer_that_is_to_be_trained_is_named(self) -> None:
        model = ex.convert(network()).model
        with pytest.warns(
            UserWarning, match=r"2 of 2 .* the first is 0: gradients.*alpha=4.0"
        ):
            parameter_groups(model, lr=0.1, positions_lr=0.1)
        model[2].alpha.requires_grad_()
        with pytest.warns(UserWarning, match=r"1 of 2 .* the first is 2: gradients"):
            parameter_groups(model, lr=0.1)

    def test_frozen_positions_are_what_the_caller_wants(self) -> None:
        model = ex.convert(network()).model
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            groups = parameter_groups(model, lr=0.1)
            parameter_groups(soft(content=3), lr=0.1, positions_lr=0.2)
        assert [group["name"] for group in groups] == ["projections", "others"]

    @pytest.mark.parametrize(
        ("gate", "said"),
        [
            (None, "content terms inside the softmax vanish"),
            (4.0, "learns through its"),
        ],
    )
    def test_content_at_the_default_alpha(self, gate: float | None, said: str) -> None:
        with pytest.warns(UserWarning, match=f"saturates torch.float32: .*{said}"):
            model = ex.convert(network(), content=2, gate=gate).model
        with pytest.warns(UserWarning, match=r"saturates .*alpha=4.0"):
            ex.attention_from_conv(network()[0], content=2, gate=gate)
        if gate is None:
            with pytest.warns(UserWarning, match="inside the softmax vanish"):
                parameter_groups(model, lr=0.1)


class TestClamp:
    def test_moves_what_is_out_of_range_and_nothing_else(self) -> None:
        model = soft()
        with torch.no_grad():
            model[0].alpha[3] = -1.0
            model[2].alpha[:2] = -0.25
        with pytest.raises(ArgumentError, match="alpha needs finite numbers"):
            model(torch.rand(1, 1, 6, 6))
        assert clamp_alpha(model) == 3
        assert model[0].alpha[3] == 0
        assert torch.equal(model[0].alpha[:3], torch.full((3,), 4.0))
        assert model(torch.rand(1, 1, 6, 6)).isfinite().all()
        assert clamp_alpha(model) == 0
        assert clamp_alpha(model, least=0.5) == 3

    def test_works_as_a_hook_of_an_optimiser(self) -> None:
        layer = ex.attention_from_conv(nn.Conv2d(1, 1, 3), alpha=1.0)
        optimizer = torch.optim.SGD(parameter_groups(layer, lr=0.1, positions_lr=1e3))
        optimizer.register_step_post_hook(lambda *_: clamp_alpha(layer))
        x = torch.rand(2, 1, 6, 6)
        for _ in range(3):
            optimizer.zero_grad()
            layer(x).square().sum().backward()
            optimizer.step()
        assert layer.alpha.min() == 0
        assert layer.alpha.grad.any()

    def test_nan_is_refused(self) -> None:
        model = soft()
        nn.init.constant_(model[2].alpha, float("nan"))
        with pytest.raises(ArgumentError, match=r"got NaN in 2: load an earlier"):
            clamp_alpha(model)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"lr": 0.0}, "lr needs a positive finite number, got 0"),
        ({"lr": 0.1, "positions_lr": -1.0}, "positions_lr needs a positive"),
        ({"lr": 0.1, "positions_lr": 0}, "positions_lr needs a positive"),
        ({"lr": 0.1, "weight_decay": -0.1}, "weight_decay needs to be at least 0"),
        ({"lr": 0.1, "weight_decay": False}, "weight_decay needs a finite number"),
    ],
)
def test_wrong_rates_are_refused(options: dict[str, float], said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        parameter_groups(soft(), **options)


@pytest.mark.parametrize("function", [parameter_groups, clamp_alpha])
def test_a_model_without_attention_is_refused(function: object) -> None:
    options = {"lr": 0.1} if function is parameter_groups else {}
    with pytest.raises(UnsupportedModuleError, match=r"convert\(model\).model"):
        function(network(), **options)
