"""Subclasses that differ rarely are refused; what accepting one costs is bounded."""

import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from expressivity.convolutions import plain_convolution
from expressivity.convolutions.inheritance import inherits_forward
from expressivity.errors import UnsupportedModuleError

Condition = Callable[[nn.Conv3d, Tensor], bool]
CHANNELS = 5


def differing(when: Condition) -> type[nn.Conv3d]:
    """Return a class that returns zeros for some inputs."""

    class Differing(nn.Conv3d):
        def forward(self, x: Tensor) -> Tensor:
            output = super().forward(x)
            return torch.zeros_like(output) if when(self, x) else output

    return Differing


# On what a class differs that is still found, one row a kind of probe.
RARE: dict[str, Condition] = {
    "first axis above 32": lambda conv, x: x.shape[2] > 32,
    "middle axis above 32": lambda conv, x: x.shape[3] > 32,
    "last axis above 32": lambda conv, x: x.shape[4] > 32,
    "last axis even": lambda conv, x: x.shape[4] % 2 == 0,
    "all axes above 32": lambda conv, x: min(x.shape[2:]) > 32,
    "outputs away from borders": lambda conv, x: min(x.shape[2:]) == 3,
    "longer than wide": lambda conv, x: x.shape[2] > x.shape[3],
    "a single image": lambda conv, x: len(x) == 1,
    "a batch": lambda conv, x: len(x) == 2,
    "large values": lambda conv, x: bool(x.abs().max() > 1e5),
    "small values": lambda conv, x: bool(x.abs().max() < 0.1),
    "a NaN": lambda conv, x: bool(x.isnan().any()),
    "infinity": lambda conv, x: bool(x.isinf().any()),
    "beyond any activation": lambda conv, x: bool(x.abs().max() > 1e30),
    "training": lambda conv, x: conv.training,
    "evaluation": lambda conv, x: not conv.training,
    "training of single large images": lambda conv, x: (
        conv.training and len(x) == 1 and x.shape[4] > 32
    ),
}


@pytest.mark.parametrize("name", RARE)
def test_a_rare_difference_is_noticed(name: str) -> None:
    module = differing(RARE[name])(2, 3, 3, padding=1)
    with pytest.raises(UnsupportedModuleError, match="they differ by"):
        plain_convolution(module)


@pytest.mark.parametrize("remainder", range(7))
def test_every_remainder_of_the_stride_is_met(remainder: int) -> None:
    kind = differing(lambda conv, x: x.shape[4] % 7 == remainder)
    with pytest.raises(UnsupportedModuleError, match="they differ by"):
        plain_convolution(kind(1, 1, 2, stride=(1, 1, 7)))


@pytest.mark.parametrize("channel", range(CHANNELS))
@pytest.mark.parametrize("where", ["input", "output"])
def test_one_channel_is_enough(where: str, channel: int) -> None:
    scale = torch.ones(CHANNELS, 1, 1, 1, dtype=torch.float64)
    scale[channel] = 1.001

    class OneChannel(nn.Conv3d):
        def forward(self, x: Tensor) -> Tensor:
            if where == "input":
                return super().forward(x * scale)
            return super().forward(x) * scale

    with pytest.raises(UnsupportedModuleError, match="they differ by"):
        plain_convolution(OneChannel(CHANNELS, CHANNELS, 2))


def test_one_tap_is_enough() -> None:
    class OtherCorner(nn.Conv3d):
        def forward(self, x: Tensor) -> Tensor:
            weight = self.weight.clone()
            weight[..., 0, -1, 0] *= 1.001
            return self._conv_forward(x, weight, self.bias)

    with pytest.raises(UnsupportedModuleError, match="they differ by"):
        plain_convolution(OtherCorner(2, 2, 3, padding=1))


def test_a_difference_on_small_inputs_is_noticed_before_large_ones_run() -> None:
    most = 0

    class Doubled(nn.Conv3d):
        def forward(self, x: Tensor) -> Tensor:
            nonlocal most
            most = max(most, x.numel())
            return 2 * super().forward(x)

    with pytest.raises(UnsupportedModuleError, match="they differ by"):
        plain_convolution(Doubled(1, 1, 3, padding=1))
    assert most == 2


class Guarded(nn.Conv3d):
    """A forward pass of its own that adds nothing."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("padding", [0, 1, 4])
@pytest.mark.parametrize("stride", [1, 3])
def test_the_smallest_probes_are_taken(mode: str, padding: int, stride: int) -> None:
    module = Guarded(1, 1, (3, 1, 2), stride, padding, padding_mode=mode)
    assert type(plain_convolution(module)) is nn.Conv3d


def test_accepting_a_wide_subclass_is_cheap() -> None:
    module = Guarded(64, 64, 3, padding=1)
    start = time.process_time()
    tracemalloc.start()
    assert plain_convolution(module).weight is module.weight
    tracemalloc.stop()
    assert time.process_time() - start < 2.0  # 0.05 s on one core


def test_products_of_a_probe_are_bounded() -> None:
    pixels = []

    class Counted(nn.Conv3d):
        def forward(self, x: Tensor) -> Tensor:
            pixels.append(x[:, 0].numel())
            return super().forward(x)

    for channels, most in ((2, 41 * 42 * 43), (64, 41)):
        pixels.clear()
        plain_convolution(Counted(channels, channels, 3, padding=1))
        assert max(pixels) == most


# Where a class may leave torch's way from call to output.
OVERRIDES: dict[str, Any] = {
    "forward": lambda self, x: 2 * nn.Conv2d.forward(self, x),
    "_conv_forward": lambda self, x, w, b: 2 * functional.conv2d(x, w, b),
    "__call__": lambda self, x: 2 * nn.Conv2d.__call__(self, x),
    "_wrapped_call_impl": lambda self, x: 2 * x,
    "_call_impl": lambda self, x: 2 * self.forward(x),
    "_compiled_call_impl": lambda self, x: 2 * self.forward(x),
    "weight": property(lambda self: 2 * self._parameters["weight"]),
    "bias": property(lambda self: 2 * self._parameters["bias"]),
    "stride": property(lambda self: (2, 1), lambda self, value: None),
    "groups": property(lambda self: 2, lambda self, value: None),
    "_forward_hooks": property(
        lambda self: {0: lambda m, a, y: 2 * y}, lambda self, value: None
    ),
}


class TestInheritance:
    """What a call passes through, and where a class may take another turn."""

    @pytest.mark.parametrize("kind", [nn.Conv1d, nn.Conv2d, nn.Conv3d])
    def test_an_empty_subclass_is_not_run(self, kind: Any) -> None:
        class Unrunnable(kind):
            def __init__(self, *args: Any, note: str, **options: Any) -> None:
                super().__init__(*args, **options)
                self.note = note

            def reset_parameters(self) -> None:
                super().reset_parameters()
                nn.init.orthogonal_(self.weight)

            def extra_repr(self) -> str:
                return self.note

            def helper(self, x: Tensor) -> Tensor:
                return 2 * x

        module = Unrunnable(2, 3, 3, note="mine")
        handle = nn.modules.module.register_module_forward_pre_hook(_refuse)
        try:
            twin = plain_convolution(module)
        finally:
            handle.remove()
        assert type(twin) is kind
        assert twin.weight is module.weight

    def test_a_mixin_that_adds_methods_only_is_inherited_too(self) -> None:
        class Frame:
            def frames(self) -> int:
                return 1

        for bases in ((Frame, nn.Conv3d), (nn.Conv3d, Frame)):
            assert inherits_forward(type("Mixed", bases, {})(1, 1, 1))

    @pytest.mark.parametrize("name", OVERRIDES)
    def test_an_override_is_not_taken_on_trust(self, name: str) -> None:
        module = nn.Conv2d(2, 2, 3)
        assert inherits_forward(module)
        module.__class__ = type("Overriding", (nn.Conv2d,), {name: OVERRIDES[name]})
        assert not inherits_forward(module)

    @pytest.mark.parametrize(
        "name",
        ["forward", "_conv_forward", "__call__", "_call_impl", "_compiled_call_impl"],
    )
    def test_an_override_that_differs_is_refused(self, name: str) -> None:
        kind = type("Overriding", (nn.Conv2d,), {name: OVERRIDES[name]})
        with pytest.raises(UnsupportedModuleError, match="they differ by"):
            plain_convolution(kind(2, 2, 3))

    @pytest.mark.parametrize("first", [True, False])
    @pytest.mark.parametrize("name", ["__getattr__", "__getattribute__"])
    def test_the_protocol_of_attributes_is_part_of_it(
        self, name: str, first: bool
    ) -> None:
        def changed(self: Any, attribute: str) -> Any:
            value = getattr(nn.Conv2d, name)(self, attribute)
            return 2 * value if attribute == "bias" else value

        mixin = type("Mixin", (), {name: changed})
        bases = (mixin, nn.Conv2d) if first else (nn.Conv2d, mixin)
        module = type("Mixed", bases, {})(1, 1, 1)
        # Behind nn.Module its own __getattr__ comes first.
        assert inherits_forward(module) is (not first and name == "__getattr__")
        x = torch.randn(1, 1, 2, 2)
        torch.testing.assert_close(plain_convolution(module)(x), module(x))

    @pytest.mark.parametrize("name", ["forward", "_call_impl", "_conv_forward"])
    def test_a_method_of_the_instance_is_part_of_it(self, name: str) -> None:
        module = nn.Conv2d(1, 1, 1)
        setattr(module, name, lambda x, *_: x)
        assert not inherits_forward(module)
        with pytest.raises(UnsupportedModuleError, match=r"differ by|could not be"):
            plain_convolution(module)

    # The compiler loads TorchScript, which is deprecated.
    @pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
    def test_a_module_that_torch_compiled_in_place_is_taken_as_it_is(self) -> None:
        module = nn.Conv2d(1, 1, 1)
        module.compile()
        assert plain_convolution(module) is module

    def test_a_tensor_that_took_the_place_of_a_parameter_is_what_counts(self) -> None:
        class Mine(nn.Conv2d):
            pass

        module = Mine(2, 2, 3)
        weight = 3 * module.weight.detach()
        del module.weight
        module.weight = weight
        x = torch.randn(1, 2, 5, 5)
        assert torch.equal(plain_convolution(module)(x), module(x))


def _refuse(module: nn.Module, args: object) -> None:
    raise RuntimeError("nothing has to run")
