"""RelativeSelfAttention is an ordinary nn.Module: saved, copied, cast, hooked."""

import copy
import io
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

import expressivity as ex
from tests import oracles
from tests.cases import BASE, BASE_1D, BASE_3D, DTYPES, Case

STRATEGIES = ("separable", "dense")
AXES = (BASE_1D, BASE, BASE_3D)
per_strategy = pytest.mark.parametrize("strategy", STRATEGIES)
per_axes = pytest.mark.parametrize("case", AXES, ids=str)


def soft_layer(case: Case = BASE) -> ex.RelativeSelfAttention:
    """Return a layer whose parameters all matter to its output."""
    layer = ex.attention_from_conv(case.conv(), alpha=1.0)
    with torch.no_grad():
        layer.alpha.add_(torch.rand_like(layer.alpha))
        layer.centers.add_(torch.rand_like(layer.centers))
    return layer


def allowance(conv: nn.Module, x: Tensor, roundings: int) -> Tensor:
    """Return what rounding that often in the layer's dtype may change, per output."""
    eps = torch.finfo(conv.weight.dtype).eps
    return roundings * eps * oracles.output_scale(conv, x)


class TestState:
    def test_state_dict_holds_the_parameters_and_nothing_else(self):
        layer = ex.attention_from_conv(BASE.conv())
        names = ["output_weight", "bias", "alpha", "centers"]
        assert list(layer.state_dict()) == names
        assert [name for name, _ in layer.named_parameters()] == names

    def test_state_dict_carries_the_layer_over(self):
        source, target = soft_layer(), ex.attention_from_conv(BASE.conv())
        target.load_state_dict(source.state_dict())
        assert torch.equal(target(BASE.input()), source(BASE.input()))

    def test_state_dict_carries_content_terms_over(self):
        source = soft_layer().add_content_terms(2)
        nn.init.normal_(source.query_weight)
        target = soft_layer().add_content_terms(2)
        target.load_state_dict(source.state_dict())
        assert torch.equal(target(BASE.input()), source(BASE.input()))

    def test_another_geometry_is_refused_by_torch_itself(self):
        other = ex.RelativeSelfAttention(4, 8, ex.ConvGeometry.create((3, 3)))
        with pytest.raises(RuntimeError, match="size mismatch for alpha"):
            other.load_state_dict(soft_layer().state_dict())

    def test_content_terms_are_missed_by_torch_itself(self):
        with pytest.raises(RuntimeError, match=r"Missing key.*query_weight"):
            soft_layer().add_content_terms(2).load_state_dict(soft_layer().state_dict())

    def test_a_layer_without_storage_takes_a_state_dict(self):
        source = soft_layer()
        layer = ex.RelativeSelfAttention(4, 8, source.geometry, device="meta")
        layer.load_state_dict(source.state_dict(), assign=True)
        assert torch.equal(layer(BASE.input()), source(BASE.input()))


def through_pickle(layer: nn.Module) -> nn.Module:
    return pickle.loads(pickle.dumps(layer))


def through_file(layer: nn.Module) -> nn.Module:
    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("copied", [copy.deepcopy, through_pickle, through_file])
class TestCopies:
    def test_equal_the_layer_and_share_nothing(
        self, copied: Callable[[nn.Module], nn.Module]
    ):
        layer, x = soft_layer(), BASE.input()
        expected = layer(x).detach()
        twin = copied(layer)
        assert torch.equal(twin(x), expected)
        with torch.no_grad():
            for parameter in twin.parameters():
                parameter.fill_(2)
        assert torch.equal(layer(x), expected)

    def test_keep_every_option(self, copied: Callable[[nn.Module], nn.Module]):
        layer = ex.attention_from_conv(BASE.conv(), strategy="dense").eval()
        layer.alpha.requires_grad_(False)
        twin = copied(layer.add_content_terms(2))
        assert repr(twin) == repr(layer)
        assert (twin.strategy, twin.geometry) == ("dense", layer.geometry)
        assert not twin.training
        wanted, found = (
            {name: p.requires_grad for name, p in each.named_parameters()}
            for each in (layer, twin)
        )
        assert found == wanted


class TestDtypes:
    @per_strategy
    @per_axes
    @pytest.mark.parametrize("dtype", DTYPES, ids=str)
    @pytest.mark.parametrize("gradients", [True, False])
    def test_converted_layer_equals_convolution(
        self, case: Case, dtype: torch.dtype, strategy: str, gradients: bool
    ):
        conv, x = case.conv(dtype), case.input(dtype=dtype)
        layer = ex.attention_from_conv(conv, strategy=strategy)
        with torch.set_grad_enabled(gradients):
            found, wanted = layer(x), conv(x)
        assert found.dtype == wanted.dtype == dtype
        # Each head may round once, as may smoothing, leak, sum and bias.
        allowed = allowance(conv, x, layer.num_heads + 4)
        exact = oracles.exact_convolution(conv, x)
        assert ((found - exact).abs() <= allowed).all()
        assert ((found - wanted).abs() <= 2 * allowed).all()

    @pytest.mark.parametrize(
        ("dtype", "pixels"), [(torch.bfloat16, 300), (torch.float16, 2100)], ids=str
    )
    def test_half_precision_aims_beyond_the_integers_it_holds(
        self, dtype: torch.dtype, pixels: int
    ):
        assert torch.tensor(pixels - 1, dtype=dtype).item() != pixels - 1
        conv = nn.Conv1d(1, 1, 3, padding=1, dtype=dtype).requires_grad_(False)
        layer = ex.attention_from_conv(conv)
        probabilities = layer.attention_probabilities(size=(pixels,))
        assert probabilities.dtype == torch.float32
        queries = torch.arange(pixels)
        targets = queries + 1 + torch.tensor([[-1], [0], [1]])
        assert torch.equal(probabilities.argmax(-1), targets)
        assert probabilities.amax(-1).min() >= 1 - torch.finfo(dtype).eps
        x = torch.randn(1, 1, pixels, dtype=dtype)
        for strategy in STRATEGIES:
            layer.strategy = strategy
            assert ((layer(x) - conv(x)).abs() <= allowance(conv, x, 8)).all()

    @pytest.mark.parametrize(
        ("cast", "dtype"),
        [
            (nn.Module.half, torch.float16),
            (nn.Module.bfloat16, torch.bfloat16),
            (nn.Module.double, torch.float64),
            (lambda module: module.to(torch.float64), torch.float64),
        ],
    )
    @per_strategy
    def test_cast_layer_equals_cast_convolution(
        self, cast: Callable[[nn.Module], nn.Module], dtype: torch.dtype, strategy: str
    ):
        conv, x = BASE.conv(torch.float32), BASE.input(dtype=dtype)
        layer = ex.attention_from_conv(conv, strategy=strategy)
        conv, layer = cast(conv), cast(layer)
        assert layer.dtype == next(layer.parameters()).dtype == dtype
        wide = torch.promote_types(dtype, torch.float32)
        for name, parameter in layer.named_parameters():
            is_position = name in ("alpha", "centers")
            assert parameter.dtype == (wide if is_position else dtype), name
        # A layer made for float32 leaks half an ulp of float32 in any dtype.
        leak = torch.finfo(torch.float32).eps * oracles.output_scale(conv, x)
        allowed = allowance(conv, x, layer.num_heads + 4) + leak
        assert ((layer(x) - oracles.exact_convolution(conv, x)).abs() <= allowed).all()

    @per_strategy
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
    def test_autocast_treats_it_as_a_convolution(
        self, strategy: str, dtype: torch.dtype
    ):
        conv, x = BASE.conv(dtype), BASE.input(dtype=dtype)
        layer = ex.attention_from_conv(conv, strategy=strategy)
        with torch.autocast("cpu", torch.bfloat16):
            found, wanted = layer(x), conv(x)
        assert found.dtype == wanted.dtype
        eps = torch.finfo(torch.bfloat16).eps
        allowed = (layer.num_heads + 6) * eps * oracles.output_scale(conv, x)
        assert ((found.double() - wanted.double()).abs() <= allowed).all()

    @per_strategy
    def test_autocast_takes_a_mixed_input(self, strategy: str):
        conv, x = BASE.conv(torch.float32), BASE.input(dtype=torch.bfloat16)
        layer = ex.attention_from_conv(conv, strategy=strategy)
        with torch.autocast("cpu", torch.bfloat16):
            assert layer(x).dtype == conv(x).dtype
            layer(x).sum().backward()
        assert layer.output_weight.grad.dtype == torch.float32


class TestInputs:
    @per_strategy
    @per_axes
    def test_without_a_batch_axis(self, case: Case, strategy: str):
        conv, x = case.conv(), case.input()
        layer = ex.attention_from_conv(conv, strategy=strategy)
        assert layer(x[0]).shape == conv(x[0]).shape
        torch.testing.assert_close(layer(x[0]), layer(x)[0], rtol=0, atol=1e-12)

    @per_strategy
    @per_axes
    def test_empty_batch(self, case: Case, strategy: str):
        conv, x = case.conv(), case.input(batch=0).requires_grad_()
        layer = ex.attention_from_conv(conv, strategy=strategy)
        output = layer(x)
        assert output.shape == conv(x).shape
        output.sum().backward()
        assert x.grad.shape == x.shape
        assert not layer.output_weight.grad.any()

    @per_strategy
    @pytest.mark.parametrize("grouped", [False, True])
    @pytest.mark.parametrize(
        "strided",
        [
            lambda x: x.to(memory_format=torch.channels_last),
            lambda x: x.transpose(2, 3).contiguous().transpose(2, 3),
            lambda x: x.repeat_interleave(2, dim=3)[..., ::2],
            lambda x: x.flip(0)[:1].expand(2, -1, -1, -1),
        ],
        ids=["channels_last", "transposed", "sliced", "expanded"],
    )
    def test_any_memory_layout(
        self, strided: Callable[[Tensor], Tensor], grouped: bool, strategy: str
    ):
        conv = Case(groups=4).conv() if grouped else BASE.conv()
        layer, x = ex.attention_from_conv(conv, strategy=strategy), BASE.input()
        torch.testing.assert_close(
            layer(strided(x)), conv(strided(x)), rtol=0, atol=1e-12
        )

    @pytest.mark.parametrize(
        ("strategy", "alpha"), [("dense", None), ("dense", 1.0), ("separable", 1.0)]
    )
    def test_a_nan_reaches_every_output_of_its_image(
        self, strategy: str, alpha: float | None
    ):
        conv, x = BASE.conv(), BASE.input()
        x[0, 0, 0, 0] = torch.nan
        layer = ex.attention_from_conv(conv, alpha=alpha, strategy=strategy)
        assert layer(x)[0].isnan().all()
        assert layer(x)[1].isfinite().all()
        assert conv(x)[0, :, 3:, 3:].isfinite().all()

    def test_saturated_heads_that_are_not_smoothed_keep_a_nan_to_themselves(self):
        conv, x = BASE.conv(), BASE.input()
        x[0, 0, 0, 0] = torch.nan
        layer = ex.attention_from_conv(conv, strategy="separable")
        assert torch.equal(layer(x).isnan(), conv(x).isnan())

    def test_the_meta_device_computes_shapes(self):
        layer = ex.attention_from_conv(BASE.conv()).to("meta")
        assert layer(BASE.input().to("meta")).shape == BASE.conv()(BASE.input()).shape


class TestTooling:
    def test_hooks_run(self):
        layer, seen = soft_layer(), []
        layer.register_forward_pre_hook(lambda module, args: seen.append("before"))
        layer.register_forward_hook(lambda module, args, output: seen.append("after"))
        layer.register_full_backward_hook(lambda *_: seen.append("backward"))
        layer(BASE.input().requires_grad_()).sum().backward()
        assert seen == ["before", "after", "backward"]

    @per_strategy
    def test_parametrisation_keeps_alpha_positive(self, strategy: str):
        layer, x = soft_layer(), BASE.input()
        layer.strategy = strategy
        expected, alpha = layer(x), layer.alpha.detach().clone()
        parametrize.register_parametrization(layer, "alpha", nn.Softplus(), unsafe=True)
        original = layer.parametrizations.alpha.original
        with torch.no_grad():
            original.copy_(alpha.expm1().log())
        torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-12)
        layer(x).square().sum().backward()
        assert original.grad.all()

    def test_a_frozen_convolution_becomes_a_frozen_layer(self):
        conv = BASE.conv().requires_grad_(False)
        layer = ex.attention_from_conv(conv)
        assert not any(parameter.requires_grad for parameter in layer.parameters())
        assert not layer(BASE.input()).requires_grad

    def test_a_frozen_weight_leaves_the_bias_trainable(self):
        conv = BASE.conv()
        conv.weight.requires_grad_(False)
        layer = ex.attention_from_conv(conv)
        trainable = [n for n, p in layer.named_parameters() if p.requires_grad]
        assert trainable == ["bias"]

    @pytest.mark.parametrize("training", [True, False])
    def test_the_training_mode_is_taken_over(self, training: bool):
        assert ex.attention_from_conv(BASE.conv().train(training)).training == training
