"""convert: what leads from a copy back to the given network."""

import functools

import pytest
from torch import nn

import expressivity as ex
from tests.conversion.network.test_references import GLOBAL, Call, Network, image


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
