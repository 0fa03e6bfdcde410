"""convert: convolutions that something other than their parent holds."""

import functools
import re
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

import expressivity as ex

Call = Callable[[Tensor], Tensor]
GLOBAL: dict[str, nn.Module] = {}


class Network(nn.Module):
    """A convolution that is called in a way of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3).double()
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.call(x))


CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)
QUESTIONS: dict[str, Callable[[nn.Module], bool]] = {
    "by name": lambda layer: isinstance(layer, nn.Conv2d),
    "base class": lambda layer: isinstance(layer, nn.modules.conv._ConvNd),
    "among several": lambda layer: isinstance(layer, (nn.Linear, nn.Conv2d)),
    "by a global variable": lambda layer: isinstance(layer, CONVOLUTIONS),
    "by a default": lambda layer, kind=nn.Conv2d: isinstance(layer, kind),
    "by its class": lambda layer: layer.__class__ is nn.Conv2d,
}
HARMLESS: dict[str, Callable[[nn.Module], bool]] = {
    "every module": lambda layer: isinstance(layer, nn.Module),
    "another class": lambda layer: isinstance(layer, nn.Identity),
    "a convolution of other axes": lambda layer: isinstance(layer, nn.Conv3d),
    "a union": lambda layer: isinstance(layer, nn.Linear | nn.BatchNorm2d),
}


class Asking(Network):
    """Computes twice as much for layers of some class."""

    def __init__(self, ask: Callable[[nn.Module], bool]) -> None:
        super().__init__()
        self.ask, self.other = ask, nn.Conv2d(4, 4, 1).double()

    def call(self, x: Tensor) -> Tensor:
        return self.other(self.conv(x)) * (2 if self.ask(self.conv) else 1)


class Holder:
    """A plain object."""


@dataclass(slots=True)
class Slots:
    """An object without a dictionary."""

    empty: object
    conv: object = None


def by_default(conv: nn.Module) -> Call:
    return lambda x, call=conv: call(x)


def by_keyword(conv: nn.Module) -> Call:
    def call(x: Tensor, *, inner: nn.Module = conv) -> Tensor:
        return inner(x)

    return call


def by_closure(conv: nn.Module) -> Call:
    return lambda x: 2 * conv(x)


def recursive(conv: nn.Module) -> Call:
    def call(x: Tensor, depth: int = 2) -> Tensor:
        return call(x, depth - 1) if depth else conv(x)

    return call


def with_attribute(conv: nn.Module) -> Call:
    def call(x: Tensor) -> Tensor:
        return call.inner(x)

    call.inner = conv
    return call


def in_object(conv: nn.Module) -> Call:
    holder = Holder()
    holder.conv = conv
    return functools.partial(lambda holder, x: holder.conv(x), holder)


def in_slots(conv: nn.Module) -> Call:
    slots = Slots(None, conv)
    return lambda x: 2 * slots.conv(x)


class Steps(nn.Module):
    """Calls what a container holds."""

    def __init__(self, steps: object) -> None:
        super().__init__()
        self.steps = steps

    def forward(self, x: Tensor) -> Tensor:
        values = self.steps.values() if isinstance(self.steps, dict) else self.steps
        for step in values:
            x = (step() if isinstance(step, weakref.ref) else step)(x)
        return x


def unregistered(conv: nn.Module) -> Call:
    """A module in a list, whose child is the convolution."""
    return Steps([nn.Sequential(conv)])


HOLDS = {
    "bound method": lambda conv: conv.forward,
    "partial": functools.partial,
    "default argument": by_default,
    "keyword default": by_keyword,
    "closure": by_closure,
    "recursive closure": recursive,
    "attribute of a function": with_attribute,
    "object": in_object,
    "slots": in_slots,
    "list": lambda conv: Steps([conv]),
    "tuple": lambda conv: Steps((conv, torch.relu)),
    "dict": lambda conv: Steps({"a": conv}),
    "deque": lambda conv: Steps(deque([conv])),
    "set": lambda conv: Steps({conv}),
    "closure in a list": lambda conv: Steps([by_closure(conv)]),
    "default in a deque": lambda conv: Steps(deque([by_default(conv)])),
    "closure in a tuple": lambda conv: Steps((by_closure(conv),)),
    "partial of a closure": lambda conv: functools.partial(by_closure(conv)),
    "weak reference": lambda conv: Steps([weakref.ref(conv)]),
    "unregistered module": unregistered,
}


def image() -> Tensor:
    return torch.randn(2, 3, 6, 5, dtype=torch.float64)


def holding(way: str) -> Network:
    network = Network()
    network.call = HOLDS[way](network.conv)
    return network


def assert_independent(network: nn.Module, model: nn.Module) -> None:
    """The converted network computes the same, whatever becomes of the given one."""
    x = image()
    wanted = network(x).detach()
    torch.testing.assert_close(model(x), wanted, rtol=0, atol=1e-11)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(0.5)
    torch.testing.assert_close(model(x), wanted, rtol=0, atol=1e-11)
    assert not torch.allclose(network(x), wanted)


@pytest.mark.parametrize("inputs", [True, False])
@pytest.mark.parametrize("way", HOLDS)
class TestHeldDirectly:
    def test_is_kept_and_independent_of_the_given_network(self, way: str, inputs: bool):
        network = holding(way)
        conversion = ex.convert(network, inputs=image() if inputs else None)
        (layer,) = conversion.layers
        assert layer.status == "kept"
        assert re.search(r"held by call(\.steps)?, which", layer.reason)
        assert conversion.converted == ()
        assert_independent(network, conversion.model)


def through_network(network: Network) -> Call:
    return lambda x: 2 * network.conv(x)


def through_method(network: Network) -> Call:
    network.helper = lambda x: 2 * network.conv(x)
    return lambda x: 2 * network.helper(x)


def through_weak_reference(network: Network) -> Call:
    parent = weakref.ref(network)
    return lambda x: parent().conv(x)


def through_shared_closures(network: Network) -> Call:
    """Two functions over one variable, that one of them changes."""
    count, owner = 0, [network]

    def call(x: Tensor) -> Tensor:
        nonlocal count
        count += 1
        return owner[0].conv(x)

    network.calls = lambda: count
    return call


@pytest.mark.parametrize(
    "lead",
    [through_network, through_method, through_weak_reference, through_shared_closures],
)
def test_functions_over_the_network_lead_to_the_copy(lead: Callable[[Network], Call]):
    network = Network()
    network.call = lead(network)
    conversion = ex.convert(network, inputs=image())
    (layer,) = conversion.layers
    assert layer.status == "converted"
    outputs: list[Tensor] = []
    conversion.model.conv.register_forward_hook(lambda m, a, y: outputs.append(y))
    assert_independent(network, conversion.model)
    assert len(outputs) == 2


class TestHooks:
    def test_that_call_a_convolution_keep_it(self):
        network = Network()
        conv = network.conv
        network.call = torch.nn.Identity()
        network.act.register_forward_pre_hook(lambda module, args: (conv(args[0]),))
        conversion = ex.convert(network)
        (layer,) = conversion.layers
        assert "act._forward_pre_hooks" in layer.reason
        assert_independent(network, conversion.model)

    def test_that_call_the_network_call_the_converted_one(self):
        network = Network()
        network.call = torch.nn.Identity()
        network.act.register_forward_hook(lambda m, a, y: y + network.conv(a[0]).sum())
        conversion = ex.convert(network, inputs=image())
        assert [layer.status for layer in conversion.layers] == ["converted"]
        assert_independent(network, conversion.model)

    def test_that_look_at_modules_hold_nothing_back(self):
        network, seen = Network(), []
        network.call = lambda x: x
        network.seen, network.note, network.name = [], Holder(), "conv"
        network.register_forward_hook(lambda m, args, out: network.seen.append(m))
        network.register_forward_hook(lambda m, args, out: seen.append(m))
        conversion = ex.convert(network)
        assert [layer.status for layer in conversion.layers] == ["converted"]
        conversion.model(image())
        assert conversion.model.seen == seen == [conversion.model]
        assert network.seen == []
