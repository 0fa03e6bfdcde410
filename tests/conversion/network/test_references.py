"""convert: convolutions that something other than their parent holds."""

import functools
import re
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

import expressivity as ex
from expressivity.conversion.network import references

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


class Registry(Network):
    """Of which a class knows an instance."""

    shared: Call


class Uncopyable:
    """A function over it cannot be moved to a copy."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network

    def __deepcopy__(self, memo: object) -> object:
        raise TypeError("not to be copied")


class TestOfTheGivenNetwork:
    """Nothing can lead these to the copy: the record says so."""

    def test_attribute_of_the_class(self, monkeypatch: pytest.MonkeyPatch):
        network = Registry()
        monkeypatch.setattr(Registry, "shared", network.conv, raising=False)
        network.call = lambda x: 2 * Registry.shared(x)
        (layer,) = ex.convert(network).layers
        assert layer.status == "kept"
        assert "Registry.shared holds it in the given model" in layer.reason

    def test_a_class_that_knows_the_network_holds_nothing_back(
        self, monkeypatch: pytest.MonkeyPatch
    ):
        network = Registry()
        monkeypatch.setattr(Registry, "shared", network, raising=False)
        assert len(ex.convert(network).converted) == 1

    def test_closure_over_something_uncopyable(self):
        network = Network()
        holder = Uncopyable(network)
        network.call = lambda x: 2 * holder.network.conv(x)
        (layer,) = ex.convert(network).layers
        assert layer.status == "kept"
        assert "call holds it in the given model" in layer.reason

    def test_cached_function(self):
        network = Network()
        network.call = functools.lru_cache(lambda x: 2 * network.conv(x))
        (layer,) = ex.convert(network).layers
        assert layer.status == "kept"
        assert "call holds it in the given model" in layer.reason

    @pytest.mark.parametrize("inner", [True, False])
    @pytest.mark.parametrize("name", ["conv", "network"])
    def test_global_variable_that_is_a_module(self, name: str, inner: bool):
        """As in a script or a notebook."""
        network = Network()
        call = "conv(x)" if name == "conv" else "network.conv(x)"
        call = f"[{call} for _ in (0,)][0]" if inner else call
        scope: dict[str, object] = {name: getattr(network, name, network)}
        network.call = eval(f"lambda x: {call}", scope)
        (layer,) = ex.convert(network).layers
        assert layer.status == "kept"
        assert "call holds it in the given model" in layer.reason

    def test_global_variable_with_the_name_of_an_attribute(self):
        network = Network()
        scope: dict[str, object] = {"conv": network.conv, "len": len}
        network.call = eval("lambda x: x.conv if len(x) < 0 else x", scope)
        assert len(ex.convert(network).converted) == 1

    def test_global_variable_shows_when_the_network_runs(
        self, monkeypatch: pytest.MonkeyPatch
    ):
        network = Network()
        monkeypatch.setitem(GLOBAL, "conv", network.conv)
        network.call = lambda x: 2 * GLOBAL["conv"](x)
        conversion = ex.convert(network, inputs=image())
        (layer,) = conversion.layers
        assert layer.status == "kept"
        assert "goes on using the one of the given model" in layer.reason
        assert conversion.converted == ()
        assert "0 of 1 convolutions converted" in str(conversion)

    def test_weight_read_through_a_global_variable(
        self, monkeypatch: pytest.MonkeyPatch
    ):
        network = Network()
        monkeypatch.setitem(GLOBAL, "conv", network.conv)
        network.call = lambda x: network.conv(x) * GLOBAL["conv"].weight.mT.norm()
        (layer,) = ex.convert(network, inputs=image()).layers
        assert (layer.status, layer.num_heads) == ("kept", None)

    def test_of_two_layers_only_the_one_that_is_used(
        self, monkeypatch: pytest.MonkeyPatch
    ):
        network = Network()
        network.last = nn.Conv2d(4, 2, 1).double()
        monkeypatch.setitem(GLOBAL, "conv", network.conv)
        network.call = lambda x: network.last(GLOBAL["conv"](x))
        conversion = ex.convert(network, inputs=image())
        statuses = {layer.name: layer.status for layer in conversion.layers}
        assert statuses == {"conv": "kept", "last": "converted"}


class TestInputs:
    def test_of_every_kind(self):
        class Two(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.conv = nn.Conv1d(1, 1, 1)

            def forward(self, x: Tensor, y: Tensor, *, scale: float = 1) -> Tensor:
                return scale * self.conv(x) + y

        x = torch.randn(1, 1, 4)
        for inputs in ((x, x), {"x": x, "y": x, "scale": 2.0}):
            assert len(ex.convert(Two(), inputs=inputs).converted) == 1
        assert len(ex.convert(nn.Conv1d(1, 1, 1), inputs=x).converted) == 1
        with pytest.raises(ex.errors.InputError, match="missing 1 required positional"):
            ex.convert(Two(), inputs=x)

    @pytest.mark.parametrize(
        ("strategy", "batch"),
        [("dense", 0), ("fused", 1), ("separable", 3)],
    )
    @pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
    def test_in_every_mode(
        self,
        monkeypatch: pytest.MonkeyPatch,
        strategy: str,
        mode: type,
        batch: int,
        dtype: torch.dtype,
    ):
        network = Network().to(dtype)
        network.last = nn.Conv2d(4, 2, 1, dtype=dtype)
        monkeypatch.setitem(GLOBAL, "last", network.last)
        network.call = lambda x: GLOBAL["last"](network.conv(x))
        x = torch.randn(batch, 3, 6, 5, dtype=dtype)
        with mode():
            conversion = ex.convert(network, strategy=strategy, inputs=x)
        statuses = [layer.status for layer in conversion.layers]
        assert statuses == ["converted", "kept"]
        assert conversion.ruled_out == ("last",)

    def test_of_tied_layers_all_are_kept(self, monkeypatch: pytest.MonkeyPatch):
        network = Network()
        network.twin = nn.Conv2d(3, 4, 3, dilation=2).double()
        network.twin.weight = network.conv.weight
        monkeypatch.setitem(GLOBAL, "conv", network.conv)
        network.call = lambda x: GLOBAL["conv"](x).sum() + network.twin(x)
        conversion = ex.convert(network, inputs=image())
        assert [layer.status for layer in conversion.layers] == ["kept", "kept"]
        assert "which is not converted with it" in conversion.layers[1].reason

    @pytest.mark.parametrize("question", QUESTIONS)
    @pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
    def test_a_class_that_is_asked_for_keeps_its_convolution(
        self, question: str, mode: type
    ):
        network = Asking(QUESTIONS[question])
        with mode():
            conversion = ex.convert(network, inputs=image())
            x = image()
            assert (conversion.model(x) - network(x)).abs().max() < 1e-12
        first, other = conversion.layers
        assert (first.status, other.status) == ("kept", "converted")
        assert "asks whether it is a Conv2d" in first.reason
        assert conversion.ruled_out == ("conv",)

    @pytest.mark.parametrize("answer", HARMLESS)
    def test_other_questions_keep_nothing(self, answer: str):
        network = Asking(HARMLESS[answer])
        conversion = ex.convert(network, inputs=image())
        assert [layer.status for layer in conversion.layers] == ["converted"] * 2
        x = image()
        assert (conversion.model(x) - network(x)).abs().max() < 1e-12

    @pytest.mark.parametrize("inputs", [3, [torch.ones(1)], "x"])
    def test_of_no_kind(self, inputs: object):
        with pytest.raises(
            ex.errors.ArgumentError, match="inputs needs a tensor, a tuple"
        ):
            ex.convert(nn.Conv1d(1, 1, 1), inputs=inputs)

    def test_change_nothing(self):
        """Neither statistics, nor random numbers, nor the inputs themselves."""
        network = nn.Sequential(
            nn.ReLU(inplace=True),
            nn.Conv2d(3, 4, 3),
            nn.BatchNorm2d(4),
            nn.Dropout(),
        )
        x, state = torch.randn(2, 3, 5, 5), torch.get_rng_state()
        before = x.clone()
        model = ex.convert(network, inputs=x).model
        assert torch.equal(x, before)
        assert torch.equal(torch.get_rng_state(), state)
        for each in (network, model):
            assert each[2].num_batches_tracked == 0
        assert model.training

    def test_that_only_the_converted_network_cannot_take(self):
        class Counting(nn.Sequential):
            def forward(self, x: Tensor) -> Tensor:
                kinds = [type(module).__name__ for module in self]
                return [super(Counting, self).forward][kinds.index("Conv1d")](x)

        network = Counting(nn.Conv1d(1, 1, 1))
        with pytest.raises(
            ex.errors.UnsupportedModuleError, match=r"the given one can: .* ValueError"
        ):
            ex.convert(network, inputs=torch.ones(1, 1, 3))


class Loading(Mapping[str, Tensor]):
    """A mapping that loads what is asked for."""

    def __init__(self) -> None:
        self.loaded = 0

    def __getitem__(self, key: str) -> Tensor:
        self.loaded += 1
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        self.loaded += 1
        return iter(["weight"])

    def __len__(self) -> int:
        return 100_000


class Touchy:
    """An object that fails whatever is asked of it."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        raise RuntimeError(f"asked for {name}")

    @property
    def __class__(self) -> type:  # type: ignore[override]
        raise RuntimeError("asked for its class")


class TestSearching:
    def test_loads_and_asks_nothing(self):
        network, loading = Network(), Loading()
        network.call = lambda x: x
        network.weights, network.touchy = loading, [Touchy()]
        assert references.references(network).modules == []
        assert loading.loaded == 0
        network.touchy = []
        conversion = ex.convert(network)
        assert loading.loaded == conversion.model.weights.loaded == 0
        assert len(conversion.converted) == 1

    def test_activations_are_copied(self):
        network = Network()
        network.call = network.act
        kept = network.conv(image())
        network.kept, network.last = [kept, {"again": kept}], kept
        model = ex.convert(network).model
        assert torch.equal(model.last, kept)
        assert model.kept[0] is model.kept[1]["again"] is model.last
        assert model.last.data_ptr() != kept.data_ptr()

    def test_ends(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(references, "MOST_OBJECTS", 1000)
        network = Network()
        network.call = network.act
        network.much = [[index] for index in range(5000)]
        conversion = ex.convert(network)
        assert len(conversion.converted) == 1
        assert any("much holds so much" in remark for remark in conversion.remarks)
        assert "much holds so much" in str(conversion)

    def test_a_list_that_leads_back_to_its_owner_counts_for_others(self):
        network = Network()
        network.conv.note = [network.conv]
        network.call = network.act
        assert ex.convert(network).converted
        network.note = network.conv.note
        (layer,) = ex.convert(network).layers
        assert "held by note" in layer.reason

    def test_of_what_many_functions_share_is_done_once(self):
        network, much = Network(), [[index] for index in range(10**4)]
        network.call = network.act
        for _ in range(200):
            network.register_forward_hook(lambda m, a, y: much and None)
        start = time.process_time()
        assert len(ex.convert(network).converted) == 1
        assert time.process_time() - start < 10

    def test_of_many_numbers_is_quick(self):
        network = Network()
        network.numbers, network.words = (
            list(range(10**6)),
            {str(i) for i in range(10**5)},
        )
        start = time.process_time()
        assert references.references(network).modules == []
        assert time.process_time() - start < 5
