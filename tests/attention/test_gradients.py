"""RelativeSelfAttention is differentiable in everything, in every way torch has."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, func, nn

import expressivity as ex
from tests.cases import BASE, BASE_1D, BASE_3D, Case

per_strategy = pytest.mark.parametrize("strategy", ["separable", "dense"])
# Forward-mode derivatives load parts of torch that it has deprecated itself.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")
SMALL = {"in_channels": 2, "out_channels": 3}
BOTH_PROJECTIONS = {"head_dim": 1}


def differentiable(
    case: Case, strategy: str, *, batch: int = 1, **options: int
) -> tuple[Callable[..., Tensor], tuple[Tensor, ...]]:
    """Return a soft layer as a function of its input and every parameter."""
    layer = ex.attention_from_conv(case.conv(), strategy=strategy, **options)
    with torch.no_grad():
        layer.alpha.uniform_(0.3, 1.5)
        layer.centers.add_(torch.rand_like(layer.centers))
    names = [name for name, _ in layer.named_parameters()]

    def function(x: Tensor, *values: Tensor) -> Tensor:
        return func.functional_call(layer, dict(zip(names, values, strict=True)), (x,))

    inputs = (case.input(batch), *(p.detach() for p in layer.parameters()))
    return function, tuple(value.clone().requires_grad_() for value in inputs)


class TestFiniteDifferences:
    @per_strategy
    @pytest.mark.parametrize("head_dim", [None, 1])
    @pytest.mark.parametrize(
        "case",
        [
            replace(BASE_1D, **SMALL),
            replace(BASE, size=(4, 3), **SMALL),
            replace(BASE, size=(4, 3), stride=2, groups=2),
            replace(BASE, size=(3, 4), padding_mode="replicate", **SMALL),
            replace(BASE_3D, size=(2, 3, 2), **SMALL),
        ],
        ids=str,
    )
    def test_first_derivatives(self, case: Case, head_dim: int | None, strategy: str):
        function, inputs = differentiable(case, strategy, head_dim=head_dim)
        assert torch.autograd.gradcheck(
            function, inputs, fast_mode=True, check_forward_ad=True
        )

    @per_strategy
    def test_first_derivatives_entry_by_entry(self, strategy: str):
        case = replace(BASE_1D, size=(4,), **SMALL)
        function, inputs = differentiable(case, strategy, **BOTH_PROJECTIONS)
        assert torch.autograd.gradcheck(function, inputs)

    @per_strategy
    def test_second_derivatives(self, strategy: str):
        case = replace(BASE_1D, size=(4,), **SMALL)
        function, inputs = differentiable(case, strategy, **BOTH_PROJECTIONS)
        assert torch.autograd.gradgradcheck(function, inputs, fast_mode=True)

    def test_content_terms(self):
        layer = ex.RelativeSelfAttention(
            2, 2, ex.ConvGeometry.create((2,)), key_dim=2, dtype=torch.float64
        )
        torch.nn.init.normal_(layer.query_weight)
        torch.nn.init.normal_(layer.content_bias)
        names = [name for name, _ in layer.named_parameters()]

        def function(x: Tensor, *values: Tensor) -> Tensor:
            parameters = dict(zip(names, values, strict=True))
            return func.functional_call(layer, parameters, (x,))

        x = torch.randn(1, 2, 4, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(function, (x, *layer.parameters()))


@per_strategy
def test_forward_derivatives_do_not_need_gradients_enabled(strategy: str):
    function, (x, alpha, centers, *rest) = differentiable(BASE, strategy)
    tangents = (torch.ones_like(alpha), torch.ones_like(centers))

    def of_placement(alpha: Tensor, centers: Tensor) -> Tensor:
        return function(x, alpha, centers, *rest)

    _, expected = torch.autograd.functional.jvp(
        of_placement, (alpha, centers), tangents
    )
    with torch.no_grad():
        _, found = func.jvp(of_placement, (alpha, centers), tangents)
    assert found.abs().max() > 1e-3
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@per_strategy
def test_alpha_and_center_have_the_derivatives_of_a_softmax(strategy: str):
    """∂y/∂α = −Cov(x, (k − t)²) and ∂y/∂Δ = 2α Cov(x, k), under the attention."""
    geometry = ex.ConvGeometry.create((1,))
    layer = ex.RelativeSelfAttention(
        1, 1, geometry, strategy=strategy, dtype=torch.float64
    )
    alpha, center, query = 0.7, 0.4, 3
    with torch.no_grad():
        layer.alpha.fill_(alpha)
        layer.centers.fill_(center)
        layer.output_weight.fill_(1)
    x = torch.randn(9, dtype=torch.float64)
    layer(x[None])[0, query].backward()

    keys = torch.arange(9, dtype=torch.float64)
    squares = (keys - query - center).square()
    weights = (-alpha * squares).exp()
    weights = weights / weights.sum()

    def covariance(a: Tensor, b: Tensor) -> Tensor:
        return (weights * a * b).sum() - (weights * a).sum() * (weights * b).sum()

    torch.testing.assert_close(layer.alpha.grad[0], -covariance(x, squares))
    torch.testing.assert_close(
        layer.centers.grad[0, 0], 2 * alpha * covariance(x, keys)
    )


@per_strategy
def test_per_sample_gradients(strategy: str):
    layer = ex.attention_from_conv(BASE.conv(), alpha=1.0, strategy=strategy)
    parameters = {name: p.detach() for name, p in layer.named_parameters()}
    x = BASE.input(batch=3)

    def loss(parameters: dict[str, Tensor], image: Tensor) -> Tensor:
        return func.functional_call(layer, parameters, (image,)).square().sum()

    found = func.vmap(func.grad(loss), in_dims=(None, 0))(parameters, x)
    for sample, image in enumerate(x):
        loss(dict(layer.named_parameters()), image).backward()
        for name, parameter in layer.named_parameters():
            torch.testing.assert_close(found[name][sample], parameter.grad)
            parameter.grad = None


@per_strategy
@pytest.mark.parametrize("detached", [True, False])
def test_an_ensemble_of_layers_in_one_call(strategy: str, detached: bool):
    members = [ex.attention_from_conv(replace(BASE, seed=s).conv()) for s in range(3)]
    for member in members:
        member.strategy = strategy
    parameters, _ = func.stack_module_state(members)
    if detached:
        parameters = {name: p.detach() for name, p in parameters.items()}
    x = BASE.input()
    found = func.vmap(lambda values: func.functional_call(members[0], values, (x,)))(
        parameters
    )
    expected = torch.stack([member(x) for member in members])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


class TestTraining:
    @per_strategy
    @pytest.mark.parametrize(
        "case",
        [
            BASE,
            replace(BASE, in_channels=8, out_channels=4),
            replace(BASE, groups=4, stride=2),
            replace(BASE, padding_mode="reflect"),
            BASE_1D,
            BASE_3D,
        ],
        ids=str,
    )
    def test_one_step_is_the_step_of_the_convolution(self, case: Case, strategy: str):
        conv, x = case.conv(), case.input()
        layer = ex.attention_from_conv(conv, strategy=strategy)
        for module in (conv, layer):
            optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
            module(x).square().mean().backward()
            optimizer.step()
        (learned,) = (
            weight
            for weight in (layer.value_weight, layer.output_weight)
            if weight is not None
        )
        as_conv = learned.grad.reshape(conv.weight.shape)
        torch.testing.assert_close(as_conv, conv.weight.grad, rtol=0, atol=1e-12)
        torch.testing.assert_close(layer.bias.grad, conv.bias.grad, rtol=0, atol=1e-12)
        torch.testing.assert_close(layer(x), conv(x), rtol=0, atol=1e-12)
        assert layer.alpha.grad is None
        assert layer.centers.grad is None

    def test_random_centers_learn_too(self):
        geometry = ex.ConvGeometry.create((3, 3), padding=1)
        layer = ex.RelativeSelfAttention(4, 8, geometry, num_heads=5)
        assert not torch.equal(layer.centers, layer.centers.round())
        x = BASE.input(dtype=torch.float32)
        before = {name: p.detach().clone() for name, p in layer.named_parameters()}
        optimizer = torch.optim.Adam(layer.parameters(), lr=1e-2)
        losses = []
        for _ in range(5):
            loss = (layer(x) - 1).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses == sorted(losses, reverse=True)
        for name, parameter in layer.named_parameters():
            assert (parameter != before[name]).any(), name

    def test_content_terms_learn(self):
        layer = ex.attention_from_conv(BASE.conv(), alpha=1.0).add_content_terms(3)
        x = BASE.input()
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
        for _ in range(2):  # W_key and Ŵ_key move once W_qry and u have
            layer.zero_grad()
            layer(x).square().mean().backward()
            optimizer.step()
        for name, parameter in layer.named_parameters():
            assert parameter.grad.any(), name


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_loses_nothing_by_recording_gradients(dtype: torch.dtype):
    # 121 heads, each a part of its own while gradients are recorded.
    conv = nn.Conv2d(4, 4, 11, padding=5, dtype=dtype)
    layer = ex.attention_from_conv(conv)
    x = torch.randn(1, 4, 13, 12, dtype=dtype)
    exact = deepcopy(conv).double()(x.double())
    with torch.no_grad():
        grouped = (layer(x).double() - exact).abs().max()
    recorded = (layer(x).double() - exact).abs().max()
    assert recorded <= 1.5 * grouped + torch.finfo(dtype).eps
