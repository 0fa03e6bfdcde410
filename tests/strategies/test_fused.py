"""The fused strategy: any kernel for attention, chunks, content terms, refusals."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from math import expm1
from typing import Any

import pytest
import torch
from torch import Tensor, func, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

import expressivity as ex
from expressivity.attention import explain
from expressivity.strategies import kernel, select
from tests import allocations, laws
from tests.cases import BASE, BASE_1D, BASE_3D, Case

REASON = "fused attention kernels have no forward-mode derivatives"
CASES = [
    BASE,
    replace(BASE, stride=2, groups=2, padding_mode="reflect"),
    replace(BASE, padding=7, padding_mode="replicate"),
    replace(BASE_1D, padding=9, padding_mode="replicate", dilation=3),
    replace(BASE_3D, padding_mode="circular"),
]
over_cases = pytest.mark.parametrize("case", CASES, ids=str)
HALF = (torch.float16, torch.bfloat16)
content_or_not = pytest.mark.parametrize("content", [False, True])


def fused_layer(
    case: Case,
    content: bool,
    *,
    size: float = 0.5,
    dtype: torch.dtype = torch.float64,
    **options: Any,
) -> nn.Module:
    """Return a soft layer with all terms of equation 8, or the positional one."""
    layer = ex.attention_from_conv(case.conv(dtype), strategy="fused", **options)
    with torch.no_grad():
        layer.alpha.uniform_(0.3, 2)
        layer.centers.add_(torch.rand_like(layer.centers))
        if content:
            layer.add_content_terms(3)
            layer.query_weight.normal_(0, size)
            layer.content_bias.normal_(0, size)
    return layer.requires_grad_()


@over_cases
def test_content_terms_are_those_of_dense(case: Case) -> None:
    """Queries off the canvas take the nearest token."""
    layer = fused_layer(case, True, head_dim=2)
    laws.assert_strategies_agree(layer, case.input(), ("fused", "dense"))


class TestChunks:
    """Where no kernel spares the scores, a few queries are asked at a time."""

    @pytest.fixture
    def chunked(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
        """Make torch hold all scores of a call; return the queries of each."""
        asked = []
        attend = kernel.scaled_dot_product_attention

        def counted(query: Tensor, *others: Tensor, **options: Any) -> Tensor:
            asked.append(query.shape[-2])
            return attend(query, *others, **options)

        monkeypatch.setattr(kernel, "_has_fused_kernel", lambda _: False)
        monkeypatch.setattr(kernel, "scaled_dot_product_attention", counted)
        with sdpa_kernel(SDPBackend.MATH):
            yield asked

    @over_cases
    @content_or_not
    def test_change_nothing(
        self, case: Case, content: bool, chunked: list[int]
    ) -> None:
        layer, queries = fused_layer(case, content), case.conv()(case.input())[0, 0]
        laws.assert_strategies_agree(layer, case.input(), ("fused", "dense"))
        assert max(chunked) <= queries.numel()

    def test_are_as_long_as_the_memory_that_is_allowed(
        self, chunked: list[int]
    ) -> None:
        case = replace(BASE, size=(24, 24), padding=0, kernel_size=(1, 1))
        layer = fused_layer(case, True)
        with torch.no_grad():
            found = layer(case.input())
        rows = 8 * case.in_channels * 2  # as many keys as queries
        assert chunked == [rows] * 9
        assert f"{rows} queries at a time" in str(explain(layer, case.input()))
        expected = laws.with_strategy(layer, "dense")(case.input())
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-11)

    @content_or_not
    @pytest.mark.parametrize("trained", [False, True])
    @pytest.mark.usefixtures("chunked")
    def test_bound_the_memory(self, trained: bool, content: bool) -> None:
        def held(side: int) -> float:
            """Return the most bytes held at once, in units of input and output."""
            case = replace(BASE, kernel_size=(1, 2), size=(side, side), padding=0)
            layer, x = fused_layer(case, content), case.input(1)
            taken = allocations.peak_bytes_of_pass(layer, x, trained=trained)
            return taken / (x.nbytes + case.conv()(x).nbytes)

        small, large = held(12), held(48)
        assert max(small, large) < 80
        assert large < 1.3 * small

    @pytest.mark.usefixtures("chunked")
    def test_without_them_the_memory_is_quadratic(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(kernel, "_has_fused_kernel", lambda _: True)
        case = replace(BASE, size=(48, 48), kernel_size=(1, 1), padding=0)
        layer, x = fused_layer(case, False), case.input(1)
        with torch.no_grad():
            taken = allocations.peak_bytes(lambda: layer(x))
        assert taken > 48**4 * x.element_size()


class TestWideValues:
    """Kernels of a GPU take heads of a limited width: wider ones are split."""

    @content_or_not
    @pytest.mark.parametrize("widest", [1, 3, 4, 8])
    def test_are_split_where_kernels_are_narrow(
        self, content: bool, widest: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        case = replace(BASE, in_channels=8)
        layer, x, widths = fused_layer(case, content), case.input(), []
        expected = laws.with_strategy(layer, "dense")(x).detach()
        attend = kernel.scaled_dot_product_attention

        def counted(
            query: Tensor, key: Tensor, value: Tensor, **options: Any
        ) -> Tensor:
            widths.append(int(value.flatten(0, -2).any(0).sum()))  # less the padding
            return attend(query, key, value, **options)

        monkeypatch.setattr(kernel, "scaled_dot_product_attention", counted)
        monkeypatch.setattr(kernel, "_WIDEST", widest)
        with monkeypatch.context() as patched:
            # What the code asks to know whether it is on a GPU.
            patched.setattr(Tensor, "is_cuda", True)
            found = layer(x).detach()
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
        assert max(widths) == widest
        assert len(widths) == 6 * -(-8 // widest)


@pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")
class TestForwardDerivatives:
    @staticmethod
    def along(name: str, layer: nn.Module, x: Tensor) -> Tensor:
        """Return the derivative along a direction of ones of one argument."""
        arguments = {key: p.detach() for key, p in layer.named_parameters()} | {"x": x}

        def function(value: Tensor) -> Tensor:
            changed = arguments | {name: value}
            return func.functional_call(layer, changed, (changed.pop("x"),))

        value = arguments[name]
        return func.jvp(function, (value,), (torch.ones_like(value),))[1]

    @pytest.mark.parametrize("name", ["x", "alpha", "centers", "output_weight"])
    def test_are_refused_with_the_reason(self, name: str) -> None:
        layer = fused_layer(BASE, True)
        with pytest.raises(ex.errors.StrategyError, match=f"cannot run: {REASON}"):
            self.along(name, layer, BASE.input())

    def test_are_left_to_dense(self, monkeypatch: pytest.MonkeyPatch) -> None:
        layer, x = fused_layer(BASE, True), BASE.input()
        layer.strategy = "auto"
        monkeypatch.setattr(sys.modules[select.__module__], "FEW_SCORES", 0)
        assert explain(layer, x).chosen == "fused"
        found = self.along("x", layer, x)
        layer.strategy = "dense"
        assert torch.equal(found, self.along("x", layer, x))
        step = 1e-6
        slope = (layer(x + step) - layer(x - step)).detach() / (2 * step)
        torch.testing.assert_close(found, slope, rtol=0, atol=1e-7)

    def test_are_explained(self) -> None:
        layer, x = fused_layer(BASE, True), BASE.input()
        layer.strategy = "auto"
        with torch.autograd.forward_ad.dual_level():
            dual = torch.autograd.forward_ad.make_dual(x, torch.ones_like(x))
            explanation = explain(layer, dual)
        assert explanation.chosen == "dense"
        assert explanation.reasons["fused"] == REASON


@pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")
@content_or_not
class TestVmap:
    """No kernel for attention has a rule for it: torch calls it once a sample."""

    def test_takes_gradients_of_every_sample(self, content: bool) -> None:
        layer, x = fused_layer(BASE, content), BASE.input(batch=3)
        parameters = {name: p.detach() for name, p in layer.named_parameters()}

        def loss(values: dict[str, Tensor], image: Tensor) -> Tensor:
            return func.functional_call(layer, values, (image,)).square().sum()

        found = func.vmap(func.grad(loss), in_dims=(None, 0))(parameters, x)
        layer.strategy = "dense"
        for sample, image in enumerate(x):
            layer.zero_grad()
            loss(dict(layer.named_parameters()), image).backward()
            for name, parameter in layer.named_parameters():
                torch.testing.assert_close(found[name][sample], parameter.grad)

    def test_takes_a_stack_of_layers(self, content: bool) -> None:
        layers = [fused_layer(BASE, content) for _ in range(3)]
        x, (stacked, _) = BASE.input(), func.stack_module_state(layers)
        found = func.vmap(lambda p: func.functional_call(layers[0], p, (x,)))(stacked)
        for one, layer in zip(found, layers, strict=True):
            expected = laws.with_strategy(layer, "dense")(x)
            torch.testing.assert_close(one, expected, rtol=0, atol=1e-11)


class TestHalfPrecision:
    """Scores are exact to a part of 2⁻²⁴ of their terms; content rounds as given."""

    @staticmethod
    def allowed(
        layer: nn.Module, x: Tensor, dtype: torch.dtype, roundings: int
    ) -> Tensor:
        """Return what rounding to a dtype may add to each output."""
        wide = laws.with_strategy(layer, "dense").double().requires_grad_(False)
        rounding, score_error = roundings * torch.finfo(dtype).eps / 2, 0.0
        if layer.query_weight is not None:
            tokens = x.double().abs().flatten(2)
            asking, keys = (
                torch.einsum("hdc,bct->bhtd", weight.abs(), tokens)
                for weight in (wide.query_weight, wide.key_weight)
            )
            asking = asking + wide.content_bias.abs()[:, None]
            # Query and key are rounded, and what they are made of may be.
            score_error = 2 * rounding * float((asking @ keys.mT).max())
        for weight in (wide.value_weight, wide.output_weight, wide.bias):
            if weight is not None:
                weight.abs_()
        # Probabilities, values, outputs of heads and their sum are rounded as well.
        return (expm1(2 * score_error) + 2 * rounding) * wide(x.double().abs())

    @content_or_not
    @pytest.mark.parametrize("dtype", HALF, ids=str)
    @over_cases
    def test_is_within_its_rounding(
        self, case: Case, dtype: torch.dtype, content: bool
    ) -> None:
        layer = fused_layer(case, content, size=0.05, dtype=dtype, head_dim=2)
        x = case.input(dtype=dtype)
        found = layer(x).detach()
        assert found.dtype == dtype
        expected = laws.with_strategy(layer, "dense").double()(x.double()).detach()
        error = (found.double() - expected).abs()
        assert (error <= self.allowed(layer, x, dtype, 2)).all()

    @content_or_not
    @over_cases
    def test_under_autocast(self, case: Case, content: bool) -> None:
        layer = fused_layer(case, content, size=0.05, dtype=torch.float32, head_dim=2)
        x = case.input(dtype=torch.float32)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = layer(x)
        assert found.dtype == torch.bfloat16
        expected = laws.with_strategy(layer, "dense").double()(x.double()).detach()
        error = (found.detach().double() - expected).abs()
        assert (error <= self.allowed(layer, x, torch.bfloat16, 3)).all()
        found.sum().backward()
        assert all(p.grad.dtype == torch.float32 for p in layer.parameters())


@pytest.mark.parametrize("dtype", HALF, ids=str)
def test_many_heads_lose_no_digits_in_half_precision(dtype: torch.dtype) -> None:
    """A hundred equal parts, added up in bfloat16, would lose many of the last."""
    conv = nn.Conv2d(1, 1, 11, padding=5, padding_mode="replicate", dtype=dtype)
    layer = ex.attention_from_conv(conv, alpha=1.0, strategy="fused")
    with torch.no_grad():
        layer.output_weight.fill_(0.7)
        layer.bias.zero_()
    expected = 121 * layer.output_weight[0, 0, 0, 0].item()
    found = layer(torch.ones(1, 1, 12, 13, dtype=dtype)).detach().double()
    # Half an ulp of each part, and of their sum.
    assert (found - expected).abs().max() <= torch.finfo(dtype).eps * expected


@pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")
@pytest.mark.parametrize(
    "name", ["query_weight", "key_weight", "position_weight", "content_bias"]
)
def test_forward_derivatives_of_content_terms_fall_back_to_dense(name: str) -> None:
    layer = ex.attention_from_conv(BASE_1D.conv(), alpha=1.0).add_content_terms(2)
    nn.init.normal_(layer.query_weight)
    parameters = {key: p.detach() for key, p in layer.named_parameters()}
    x, value = BASE_1D.input(), parameters[name]

    def along(strategy: str) -> Tensor:
        layer.strategy = strategy
        return func.jvp(
            lambda v: func.functional_call(layer, parameters | {name: v}, (x,)),
            (value,),
            (torch.ones_like(value),),
        )[1]

    assert torch.equal(along("auto"), along("dense"))


@pytest.mark.parametrize("alpha", [400.0, 2000.0])
def test_hard_heads_in_float16_do_not_overflow(alpha: float) -> None:
    conv = nn.Conv1d(1, 1, 3, padding=1, dtype=torch.float16)
    layer = ex.attention_from_conv(conv, alpha=alpha, strategy="fused")
    x = torch.randn(1, 1, 400).half()
    laws.assert_equals_convolution(layer, conv, x, alpha=alpha)
