"""What passes as a convolution, and what is refused with which reason."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from expressivity.convolutions import (
    build_convolution,
    convolve,
    plain_convolution,
    tap_matrices,
)
from expressivity.errors import UnsupportedModuleError
from tests.cases import BASE, BASE_1D, BASE_3D, CASES, DTYPES, Case

Register = Callable[[nn.Module], nn.Module]

over_cases = pytest.mark.parametrize("case", CASES, ids=str)
one_of_each = pytest.mark.parametrize("case", [BASE, BASE_1D, BASE_3D], ids=str)


def assert_refused(module: Any, match: str) -> None:
    with pytest.raises(UnsupportedModuleError, match=match):
        plain_convolution(module)


def trace(module: nn.Module) -> nn.Module:
    return torch.jit.trace(module, torch.ones(1, 1, 3, 3))


class Renamed(nn.Conv2d):
    """A subclass that changes nothing."""


class CheckedInput(nn.Conv2d):
    """A subclass with a forward that computes the same."""

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 4:
            raise ValueError("images only")
        return super().forward(x)


class TensorflowSame(nn.Conv2d):
    """'Same' padding that depends on the input size, as in many model zoos."""

    def forward(self, x: Tensor) -> Tensor:
        pads = []
        for pixels, kernel, stride in zip(
            reversed(x.shape[2:]),
            reversed(self.kernel_size),
            reversed(self.stride),
            strict=True,
        ):
            missing = (-(pixels // -stride) - 1) * stride + kernel - pixels
            pads += [max(0, missing) // 2, max(0, missing) - max(0, missing) // 2]
        x = functional.pad(x, pads)
        return functional.conv2d(x, self.weight, self.bias, self.stride)


class Standardised(nn.Conv2d):
    """Weight standardisation, as in big transfer networks."""

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean(dim=(1, 2, 3), keepdim=True)
        return self._conv_forward(x, weight, self.bias)


class NoisyInTraining(nn.Conv2d):
    """Another function in training mode than in evaluation."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x + torch.randn_like(x) if self.training else x)


class SaturatingAbove(nn.Conv2d):
    """A plain convolution of small inputs only."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.clamp(-6, 6))


class Gained(nn.Conv2d):
    """Carries a parameter that a plain convolution has no place for."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.gain = nn.Parameter(torch.ones(()))


class TestPlain:
    @over_cases
    @pytest.mark.parametrize("dtype", DTYPES, ids=str)
    def test_a_plain_convolution_passes_as_it_is(
        self, case: Case, dtype: torch.dtype
    ) -> None:
        conv = case.conv(dtype)
        assert plain_convolution(conv) is conv

    @pytest.mark.parametrize(
        ("module", "match"),
        [
            (nn.Linear(2, 2), r"nn.Conv3d is required, got \S*Linear"),
            (nn.Sequential(nn.Conv2d(1, 1, 1)), r"is required, got \S*Sequential"),
            (
                nn.ConvTranspose1d(1, 1, 1),
                r"transposed convolution \(\S*ConvTranspose1d\)",
            ),
            (
                nn.ConvTranspose2d(1, 1, 1),
                r"transposed convolution \(\S*ConvTranspose2d\)",
            ),
            (
                nn.ConvTranspose3d(1, 1, 1),
                r"transposed convolution \(\S*ConvTranspose3d\)",
            ),
            (nn.LazyConv2d(1, 1), r"lazy \(\S*LazyConv2d\): run the model once"),
            (nn.LazyConvTranspose1d(1, 1), r"lazy \(\S*LazyConvTranspose1d\)"),
            (functional.conv2d, r"is required, got \S*builtin"),
            (None, r"is required, got \S*NoneType"),
        ],
        ids=lambda value: value if isinstance(value, str) else type(value).__name__,
    )
    @pytest.mark.filterwarnings("ignore:Lazy modules:UserWarning")
    def test_refuses_other_modules(self, module: Any, match: str) -> None:
        assert_refused(module, match)

    @pytest.mark.filterwarnings("ignore:Lazy modules:UserWarning")
    def test_a_lazy_convolution_passes_once_it_has_run(self) -> None:
        conv = nn.LazyConv2d(2, 3)
        conv(torch.ones(1, 5, 4, 4))
        assert plain_convolution(conv) is conv

    # TorchScript is deprecated, and still in use.
    @pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
    @pytest.mark.parametrize(
        "compile_", [torch.jit.script, trace], ids=["script", "trace"]
    )
    def test_refuses_torchscript(self, compile_: Register) -> None:
        assert_refused(
            compile_(nn.Conv2d(1, 1, 1)), "TorchScript module: convert the original"
        )


class TestWeights:
    @one_of_each
    @pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
    @pytest.mark.parametrize("name", ["weight", "bias"])
    def test_refuses_numbers_that_are_not_finite(
        self, case: Case, name: str, value: float
    ) -> None:
        conv = case.conv()
        with torch.no_grad():
            getattr(conv, name).view(-1)[:2] = value
        assert_refused(conv, f"its {name} holds 2 numbers that are NaN or infinite")

    @pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128], ids=str)
    def test_refuses_complex_weights(self, dtype: torch.dtype) -> None:
        assert_refused(
            nn.Conv2d(1, 1, 1, dtype=dtype), f"its weight needs .* got {dtype}"
        )

    @pytest.mark.parametrize("dtype", [torch.int8, torch.int64, torch.bool], ids=str)
    def test_refuses_integer_weights(self, dtype: torch.dtype) -> None:
        conv = nn.Conv2d(1, 1, 1)
        conv.weight = nn.Parameter(conv.weight.detach().to(dtype), requires_grad=False)
        assert_refused(conv, f"its weight needs one of .* got {dtype}: cast the module")

    def test_refuses_the_meta_device(self) -> None:
        assert_refused(
            nn.Conv2d(1, 1, 1, device="meta"), "meta device: load real weights"
        )

    # Quantised modules are deprecated, and still in use.
    @pytest.mark.filterwarnings("ignore:.*quanti:UserWarning")
    @pytest.mark.filterwarnings("ignore:.*quanti:DeprecationWarning")
    def test_refuses_a_quantised_convolution(self) -> None:
        quantised = torch.ao.nn.quantized.Conv2d(1, 1, 1)
        assert_refused(quantised, r"is required, got \S*quantized\S*Conv2d")
        config = torch.ao.quantization.get_default_qat_qconfig("x86")
        aware = torch.ao.nn.qat.Conv2d(1, 1, 1, qconfig=config)
        assert_refused(aware, "a plain convolution would drop: weight_fake_quant")


class TestSubclasses:
    @pytest.mark.parametrize("kind", [Renamed, CheckedInput])
    @pytest.mark.parametrize("training", [True, False])
    def test_passes_as_a_plain_twin(
        self, kind: type[nn.Conv2d], training: bool
    ) -> None:
        module = kind(4, 6, (3, 2), stride=2, padding=1, groups=2).train(training)
        module.bias.requires_grad_(False)
        twin = plain_convolution(module)
        assert type(twin) is nn.Conv2d
        assert twin.weight is module.weight
        assert twin.bias is module.bias
        assert twin.training is training
        x = torch.randn(2, 4, 7, 6)
        assert torch.equal(twin(x), module(x))

    @pytest.mark.parametrize(
        ("kind", "match"),
        [
            (Standardised, "they differ by"),
            (TensorflowSame, "they differ by|could not be compared|different shapes"),
            (NoisyInTraining, "differ by .* with training=True"),
            (SaturatingAbove, "they differ by"),
            (Gained, "state that a plain convolution would drop: gain"),
        ],
    )
    def test_refuses_what_computes_something_else(
        self, kind: type[nn.Conv2d], match: str
    ) -> None:
        assert_refused(kind(2, 3, 3), match)

    @pytest.mark.parametrize("stride", [2, 3, 8])
    def test_refuses_padding_that_depends_on_the_size(self, stride: int) -> None:
        # Of some sizes it pads as the plain convolution does.
        assert_refused(
            TensorflowSame(1, 1, 3, stride=stride, padding=1), "differ|different"
        )

    def test_a_size_dependent_class_passes_where_it_does_not_depend(self) -> None:
        assert plain_convolution(TensorflowSame(1, 1, 1))

    @pytest.mark.parametrize("name", ["forward", "_conv_forward"])
    def test_refuses_a_method_patched_on_the_instance(self, name: str) -> None:
        conv = nn.Conv2d(2, 2, 3)
        setattr(conv, name, lambda x, *_: x)
        assert_refused(conv, "could not be compared|differ by")

    def test_takes_a_patched_method_that_computes_the_same(self) -> None:
        conv = nn.Conv2d(2, 2, 3)
        weight, bias = conv.weight, conv.bias
        conv.forward = lambda x: functional.conv2d(
            x, weight.to(x.dtype), bias.to(x.dtype)
        )
        assert plain_convolution(conv).weight is weight

    def test_a_broken_subclass_is_refused_with_its_error(self) -> None:
        class Broken(nn.Conv2d):
            def forward(self, x: Tensor) -> Tensor:
                raise RuntimeError("no such luck")

        assert_refused(Broken(1, 1, 1), "Broken could not be compared .* no such luck")


class TestParts:
    @over_cases
    def test_tap_matrices_are_the_weight(self, case: Case) -> None:
        conv = case.conv()
        matrices = tap_matrices(conv.weight)
        rebuilt = matrices.movedim(0, -1).reshape(conv.weight.shape)
        assert torch.equal(rebuilt, conv.weight)
        spots = torch.cartesian_prod(*map(torch.arange, conv.kernel_size))
        for matrix, spot in zip(
            matrices, spots.reshape(len(matrices), -1), strict=True
        ):
            assert torch.equal(matrix, conv.weight[(..., *spot)])

    @over_cases
    def test_build_convolution_has_all_options(self, case: Case) -> None:
        conv = case.conv()
        twin = build_convolution(
            conv.weight,
            conv.bias,
            stride=conv.stride,
            padding=conv.padding,
            dilation=conv.dilation,
            groups=conv.groups,
            padding_mode=conv.padding_mode,
        )
        assert repr(twin) == repr(conv)
        assert torch.equal(twin(case.input()), conv(case.input()))

    @one_of_each
    def test_convolve_is_torchs(self, case: Case) -> None:
        conv = replace(case, padding=0, stride=2, groups=2, bias=False).conv()
        x = case.input()
        found = convolve(
            x, conv.weight, stride=conv.stride, dilation=conv.dilation, groups=2
        )
        assert torch.equal(found, conv(x))
