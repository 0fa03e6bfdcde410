"""What a layer keeps from call to call never shows in its outputs."""

import copy
import pickle
import weakref
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, func, nn

import expressivity as ex
from expressivity.heads.parameters import Heads
from tests import laws
from tests.cases import BASE, BASE_1D, Case

DILATED = ex.ConvGeometry.create((3, 2), padding=1, dilation=2)


def scale_in_place(layer: nn.Module) -> None:
    for weight in (layer.value_weight, layer.output_weight):
        weight.mul_(1.5)


def step(layer: nn.Module) -> None:
    with torch.enable_grad():
        layer(BASE.input().to(layer.dtype)).square().sum().backward()
    torch.optim.SGD(layer.parameters(), lr=1e-3).step()


def load(layer: nn.Module, **options: bool) -> None:
    state = {name: 1.25 * value for name, value in layer.state_dict().items()}
    layer.load_state_dict(state, **options)


def assign(layer: nn.Module) -> None:
    layer.value_weight = nn.Parameter(layer.value_weight.flip(1) * 2)


def materialize(layer: nn.Module) -> None:
    layer.materialize_projections()
    layer.value_weight.neg_()


def harden_behind_autograd(layer: nn.Module) -> None:
    layer.alpha.data.mul_(1.7)


def move_behind_autograd(layer: nn.Module) -> None:
    layer.centers.data[0] += 0.5


def swap_geometry(layer: nn.Module) -> None:
    layer.geometry = DILATED


CHANGES = [
    scale_in_place,
    step,
    load,
    pytest.param(lambda layer: load(layer, assign=True), id="load_by_assigning"),
    assign,
    harden_behind_autograd,
    move_behind_autograd,
    swap_geometry,
]
CASTS = [
    pytest.param(lambda layer: layer.float(), id="float"),
    pytest.param(lambda layer: layer.float().double(), id="float_and_back"),
]
TRUNCATED = pytest.param(BASE, 2, id="both_projections")
WHOLE = pytest.param(BASE, None, id="value_identity")
NARROW = pytest.param(replace(BASE, out_channels=2), None, id="output_identity")
both_sides_of_saturation = pytest.mark.parametrize("alpha", [1.0, 60.0])


def assert_is_what_dense_computes(layer: nn.Module) -> None:
    """A copy that is evaluated another way has no memory of earlier calls."""
    x = BASE.input().to(layer.dtype)
    rounding = 100 * torch.finfo(layer.dtype).eps
    expected = laws.with_strategy(layer, "dense")(x)
    atol = rounding * (1 + float(expected.detach().abs().max()))
    torch.testing.assert_close(layer(x), expected, rtol=0, atol=atol)


def warm_layer(case: Case, alpha: float, head_dim: int | None = 2) -> nn.Module:
    """Return a layer that has been called."""
    layer = ex.attention_from_conv(case.conv(), alpha=alpha, head_dim=head_dim)
    with torch.no_grad():
        for _ in range(2):
            layer(case.input())
    return layer


class TestLayer:
    @both_sides_of_saturation
    @pytest.mark.parametrize("change", [*CHANGES, *CASTS])
    def test_sees_every_change(
        self, change: Callable[[nn.Module], None], alpha: float
    ) -> None:
        layer = warm_layer(BASE, alpha)
        with torch.no_grad():
            change(layer)
            assert_is_what_dense_computes(layer)
        assert_is_what_dense_computes(layer)

    @pytest.mark.parametrize("change", CHANGES)
    def test_every_change_is_one(self, change: Callable[[nn.Module], None]) -> None:
        layer = warm_layer(BASE, 1.0)
        with torch.no_grad():
            before = layer(BASE.input())
            change(layer)
            after = layer(BASE.input())
        assert after.shape != before.shape or (after - before).abs().max() > 1e-3

    @both_sides_of_saturation
    @pytest.mark.parametrize(("case", "head_dim"), [WHOLE, NARROW])
    def test_sees_identities_turn_into_parameters(
        self, case: Case, head_dim: int | None, alpha: float
    ) -> None:
        layer = warm_layer(case, alpha, head_dim)
        with torch.no_grad():
            before = layer(case.input())
            materialize(layer)
            assert (layer(case.input()) - before).abs().max() > 0.1
            assert_is_what_dense_computes(layer)
        assert_is_what_dense_computes(layer)

    @both_sides_of_saturation
    @pytest.mark.parametrize(("case", "head_dim"), [TRUNCATED, WHOLE, NARROW])
    def test_takes_other_parameters_for_one_call(
        self, case: Case, head_dim: int | None, alpha: float
    ) -> None:
        layer, x = warm_layer(case, alpha, head_dim), case.input()
        other = copy.deepcopy(layer)
        with torch.no_grad():
            before = layer(x)
            for parameter in other.parameters():
                parameter.mul_(1.25)
            for _ in range(2):
                parameters = dict(other.named_parameters())
                found = func.functional_call(layer, parameters, (x,))
                expected = laws.with_strategy(other, "dense")(x)
                torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
                assert torch.equal(layer(x), before)

    @both_sides_of_saturation
    def test_takes_a_stack_of_parameters(self, alpha: float) -> None:
        layer, x = warm_layer(BASE, alpha), BASE.input()
        others = [copy.deepcopy(layer) for _ in range(3)]
        with torch.no_grad():
            for scale, other in enumerate(others):
                other.output_weight.mul_(1 + scale)
        stacked, _ = func.stack_module_state(others)
        found = func.vmap(lambda values: func.functional_call(layer, values, (x,)))({
            name: value.detach() for name, value in stacked.items()
        })
        for one, other in zip(found, others, strict=True):
            torch.testing.assert_close(one, other(x), rtol=0, atol=1e-12)

    @pytest.mark.parametrize(
        "copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))]
    )
    def test_copies_live_on_their_own(
        self, copied: Callable[[nn.Module], nn.Module]
    ) -> None:
        layer = warm_layer(BASE, 1.0)
        other = copied(layer)
        with torch.no_grad():
            before = layer(BASE.input())
            assert torch.equal(other(BASE.input()), before)
            scale_in_place(other)
            assert_is_what_dense_computes(other)
            assert torch.equal(layer(BASE.input()), before)

    @both_sides_of_saturation
    @pytest.mark.parametrize("frozen", ["everything", "alpha and centers", "nothing"])
    def test_trains_after_inference(self, frozen: str, alpha: float) -> None:
        """Long enough for banded matrices."""
        case = replace(BASE_1D, size=(200,))
        layer = ex.attention_from_conv(case.conv(), alpha=alpha, head_dim=2)
        layer.alpha.requires_grad_(frozen == "nothing")
        layer.centers.requires_grad_(frozen == "nothing")
        if frozen == "everything":
            layer.requires_grad_(False)
        with torch.inference_mode():
            layer(case.input())
        found, expected = [], []
        for gradients, strategy in ((found, "separable"), (expected, "dense")):
            x = case.input().requires_grad_()
            layer.strategy = strategy
            layer(x).square().sum().backward()
            gradients.append(x.grad)
            gradients.extend(p.grad for p in layer.parameters() if p.requires_grad)
            layer.zero_grad()
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)

    @both_sides_of_saturation
    def test_composes_its_kernels_once(
        self, alpha: float, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        layer = ex.attention_from_conv(BASE.conv(), alpha=alpha, head_dim=2)
        layer.alpha.requires_grad_(False)
        layer.centers.requires_grad_(False)
        calls, compose = [], Heads.matrices

        def counted(heads: Heads) -> Tensor:
            calls.append(heads)
            return compose(heads)

        monkeypatch.setattr(Heads, "matrices", counted)
        with torch.no_grad():
            for _ in range(3):
                layer(BASE.input())
            assert len(calls) == 1
            with torch.inference_mode():
                layer(BASE.input(batch=5))
            assert len(calls) == 1
            scale_in_place(layer)
            for _ in range(3):
                layer(BASE.input())
            assert len(calls) == 2
        for _ in range(2):  # derivatives go through the projections
            layer(BASE.input())
        assert len(calls) == 4

    def test_gives_up_what_it_keeps_when_it_is_cast(self) -> None:
        class Large:
            """A value that can be watched."""

        layer = warm_layer(BASE, 1.0)
        with torch.no_grad():
            large = weakref.ref(layer._memo.get("large", [layer.alpha], Large))
        assert large() is not None
        layer.float()
        assert large() is None
