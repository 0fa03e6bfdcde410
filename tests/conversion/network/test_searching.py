"""convert: the search for convolutions runs nobody's code and loads nothing."""

import time
from collections.abc import Iterator, Mapping

import pytest
import torch
from torch import Tensor

import expressivity as ex
from expressivity.conversion.network import references
from tests.conversion.network.test_references import Network, image


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
        assert "much holds so much" in conversion.table(width=200)

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
