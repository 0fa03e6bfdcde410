"""A layer is judged only if its parameters say all about what it computes."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

import expressivity as ex
from expressivity.errors import CertificateError, UnsupportedModuleError
from tests.cases import BASE

Layer = ex.RelativeSelfAttention
CONV = replace(BASE, in_channels=2, out_channels=2).conv()


class Doubled(Layer):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


class CalledOtherwise(Layer):
    def __call__(self, x: Tensor) -> Any:
        return 2 * super().__call__(x)


class OtherHeads(Layer):
    def heads(self) -> Any:
        heads = super().heads()
        return replace(heads, alpha=2 * heads.alpha)


class HiddenParameter(Layer):
    @property
    def alpha(self) -> Tensor:  # type: ignore[override]
        return 2 * self._parameters["alpha"]  # type: ignore[operator]


class OtherState(Layer):
    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        return {name: 0 * value for name, value in super().state_dict().items()}


class Renamed(Layer):
    """Computes what the layer computes, and says something else about itself."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.note = "mine"

    def extra_repr(self) -> str:
        return "as you like it"

    def describe(self) -> str:
        return self.note


class Loud(Tensor):
    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = super().__torch_function__(func, types, args, kwargs or {})
        return 2 * result if func is torch.Tensor.mul else result


def with_loud_alpha(layer: Layer) -> None:
    layer.alpha = nn.Parameter(layer.alpha.detach().as_subclass(Loud), False)


def doubled(*values: Any) -> Any:
    return 2 * values[-1]


CHANGES: dict[str, Callable[[Layer], object]] = {
    "forward hook": lambda layer: layer.register_forward_hook(doubled),
    "forward pre-hook": lambda layer: layer.register_forward_pre_hook(
        lambda _, inputs: (2 * inputs[0],)
    ),
    "hook that sees keywords": lambda layer: layer.register_forward_hook(
        lambda *_: None, with_kwargs=True
    ),
    "forward of the instance": lambda layer: setattr(layer, "forward", doubled),
    "call of the instance": lambda layer: setattr(layer, "_call_impl", doubled),
    "heads of the instance": lambda layer: setattr(layer, "heads", layer.heads),
    "forward of a subclass": lambda layer: setattr(layer, "__class__", Doubled),
    "call of a subclass": lambda layer: setattr(layer, "__class__", CalledOtherwise),
    "heads of a subclass": lambda layer: setattr(layer, "__class__", OtherHeads),
    "hidden parameter": lambda layer: setattr(layer, "__class__", HiddenParameter),
    "state of a subclass": lambda layer: setattr(layer, "__class__", OtherState),
    "parametrisation": lambda layer: parametrize.register_parametrization(
        layer, "alpha", nn.Identity(), unsafe=True
    ),
    "parameter": lambda layer: (
        layer.register_parameter("gain", None)
        or setattr(layer, "gain", nn.Parameter(torch.ones(1)))
    ),
    "buffer": lambda layer: layer.register_buffer("gain", torch.ones(1)),
    "child": lambda layer: layer.add_module("after", nn.ReLU()),
    "parameters with code of their own": with_loud_alpha,
}
JUDGES: dict[str, Callable[[Any], object]] = {
    "certify": lambda layer: ex.certify(layer, CONV, size=BASE.size),
    "conversion_error": lambda layer: ex.worst_case_error(layer, CONV),
    "conv_from_attention": ex.conv_from_attention,
    "nearest convolution": lambda layer: ex.conv_from_attention(layer, tolerance=10),
}


REFUSED = r"hooks of its own|would drop|parametris|what a call|whose operations"


def converted(**options: Any) -> Layer:
    return ex.attention_from_conv(CONV, **options)


@pytest.mark.parametrize("judge", JUDGES)
@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_a_call_is_refused(change: str, judge: str) -> None:
    layer = converted()
    JUDGES[judge](layer)
    CHANGES[change](layer)
    with pytest.raises(UnsupportedModuleError, match=REFUSED):
        JUDGES[judge](layer)


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_after_it_was_certified_is_noticed(change: str) -> None:
    layer = converted()
    certificate = ex.certify(layer, CONV, size=BASE.size)
    CHANGES[change](layer)
    with pytest.raises(UnsupportedModuleError, match=REFUSED):
        certificate.check()


@pytest.mark.parametrize("judge", JUDGES)
@pytest.mark.parametrize("module", [CONV, nn.Identity(), None, "layer", Layer])
def test_what_is_no_layer_is_refused(module: Any, judge: str) -> None:
    with pytest.raises(UnsupportedModuleError, match="RelativeSelfAttention is"):
        JUDGES[judge](module)


@pytest.mark.parametrize("judge", JUDGES)
def test_a_subclass_that_runs_the_same_code_is_judged(judge: str) -> None:
    layer = converted()
    layer.__class__ = Renamed
    assert JUDGES[judge](layer) is not None


def test_how_a_subclass_describes_itself_is_not_what_is_certified() -> None:
    layer = converted()
    plain = ex.certify(layer, CONV)
    layer.__class__ = Renamed
    certificate = ex.certify(layer, CONV)
    assert certificate.to_dict() == plain.to_dict()


@pytest.mark.parametrize("judge", JUDGES)
def test_judging_draws_no_random_numbers(judge: str) -> None:
    layer, before = converted(), torch.get_rng_state()
    JUDGES[judge](layer)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", ["alpha", "centers", "output_weight", "bias"])
def test_what_is_written_past_autograd_is_what_is_certified(name: str) -> None:
    layer = converted(alpha=2.0)
    x = BASE.input()[:, :2]
    layer(x)
    parameter = getattr(layer, name)
    parameter.data.view(-1)[0] += 0.5
    certificate = ex.certify(layer, CONV, size=BASE.size)
    x = certificate.worst_input
    with torch.no_grad():
        error = float((layer(x) - CONV(x)).abs().max())
    assert 0.99 * certificate.attained < error <= float(certificate.bound.max())
    certificate.check()
    parameter.data.view(-1)[0] += 0.5
    with pytest.raises(CertificateError, match="parameters that were certified"):
        certificate.check()


class TestCertificatesOnly:
    @pytest.fixture
    def hook(self) -> Iterator[None]:
        handle = nn.modules.module.register_module_forward_hook(doubled)
        yield
        handle.remove()

    @pytest.mark.usefixtures("hook")
    def test_hooks_of_every_module_are_refused(self) -> None:
        with pytest.raises(CertificateError, match="run with every module"):
            ex.certify(converted(), CONV)

    @pytest.mark.parametrize("which", ["layer", "convolution"])
    def test_what_is_compiled_in_place_is_refused(self, which: str) -> None:
        layer, conv = converted(), replace(BASE, in_channels=2, out_channels=2).conv()
        (layer if which == "layer" else conv).compile(backend="eager")
        with pytest.raises(CertificateError, match=f"{which} is compiled"):
            ex.certify(layer, conv)
