"""Caches: what is computed once, and when it must not be."""

import pickle
from dataclasses import dataclass, replace

import pytest
import torch

from expressivity.geometry import ConvGeometry
from expressivity.geometry.grid import Grid
from expressivity.machine.caching import CachedHash, cached_unless_traced


def test_a_result_is_computed_once_unless_a_graph_is_traced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = []

    @cached_unless_traced
    def double(number: int) -> int:
        calls.append(number)
        return 2 * number

    assert [double(3), double(3), double(4)] == [6, 6, 8]
    assert calls == [3, 4]
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert [double(3), double(3)] == [6, 6]
    assert calls == [3, 4, 3, 3]


@dataclass(frozen=True)
class Counted(CachedHash):
    """A key whose hash is expensive."""

    number: int

    class Slow(int):
        """A number that counts how often it is hashed."""

        hashed = 0

        def __hash__(self) -> int:
            type(self).hashed += 1
            return int(self)


def test_the_hash_is_that_of_the_fields_and_computed_once() -> None:
    key = Counted(Counted.Slow(5))
    assert {key: "there"}[key] == "there"
    assert Counted.Slow.hashed == 1
    assert hash(key) == hash(Counted(5))
    assert hash(key) != hash(Counted(6))


@pytest.mark.parametrize(
    "key", [ConvGeometry.create((3, 2)), Grid.of(ConvGeometry.create((3,)), (5,))]
)
def test_a_pickled_key_carries_no_hash(key: ConvGeometry | Grid) -> None:
    hash(key)
    assert "_hash" in vars(key)
    copied = pickle.loads(pickle.dumps(key))
    assert "_hash" not in vars(copied)
    assert (copied, hash(copied)) == (key, hash(key))
    assert replace(key) == key
