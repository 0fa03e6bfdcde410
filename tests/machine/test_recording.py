"""Whether anything but autograd takes part in an operation is noticed."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
import torch
from torch import Tensor
from torch._subclasses import FakeTensorMode
from torch.autograd import forward_ad
from torch.func import grad, jvp, vmap
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode

from expressivity.machine.recording import is_ordinary


class _Following(TorchDispatchMode):
    """A mode of the dispatcher that changes nothing."""

    def __torch_dispatch__(
        self, func: Callable, types: object, args: tuple = (), kwargs: object = None
    ) -> object:
        return func(*args, **(kwargs or {}))


CONTEXTS: dict[str, Callable[[], AbstractContextManager]] = {
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "a mode of the dispatcher": _Following,
    "fake tensors": FakeTensorMode,
    "dual numbers": forward_ad.dual_level,
}


@pytest.mark.parametrize("name", CONTEXTS)
def test_no_context_is_ordinary(name: str) -> None:
    assert is_ordinary()
    with CONTEXTS[name]():
        assert not is_ordinary()
    assert is_ordinary()


@pytest.mark.parametrize(
    "context", [torch.no_grad, torch.enable_grad, torch.inference_mode]
)
def test_autograd_is_ordinary(context: Callable[[], AbstractContextManager]) -> None:
    with context():
        assert is_ordinary()


TRANSFORMS: dict[str, Callable[[Callable[[Tensor], Tensor]], object]] = {
    "vmap": lambda f: vmap(f)(torch.ones(2)),
    "grad": lambda f: grad(f)(torch.ones(())),
    "jvp": lambda f: jvp(f, (torch.ones(2),), (torch.ones(2),)),
    "torch.jit.trace": lambda f: torch.jit.trace(f, torch.ones(2), check_trace=False),
    "make_fx": lambda f: make_fx(f)(torch.ones(2)),
    "make_fx of fake tensors": lambda f: make_fx(f, tracing_mode="fake")(torch.ones(2)),
    "make_fx before the dispatcher": lambda f: make_fx(f, pre_dispatch=True)(
        torch.ones(2)
    ),
}


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_no_transform_is_ordinary(name: str) -> None:
    asked = []

    def double(x: Tensor) -> Tensor:
        asked.append(is_ordinary())
        return 2 * x

    TRANSFORMS[name](double)
    assert asked
    assert not any(asked)
    assert is_ordinary()


def test_no_compiler_is_ordinary() -> None:
    def double(x: Tensor) -> Tensor:
        return 3 * x if is_ordinary() else 2 * x

    compiled = torch.compile(double, backend="eager")
    assert torch.equal(compiled(torch.ones(2)), 2 * torch.ones(2))
