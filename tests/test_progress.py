"""Whatever may take more than two seconds shows how far it is, on request."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
import torch
from torch import nn

import expressivity as ex
from expressivity.atlas.evidence import gather
from expressivity.errors import ArgumentError

CONV = nn.Conv2d(1, 2, 3, padding=1)
ATTENTION = ex.attention_from_conv(CONV, alpha=2.0)
NETWORK = nn.Sequential(CONV, nn.ReLU(), nn.Conv2d(2, 1, 1))
X = torch.rand(1, 1, 5, 4)


class Bar:
    """A progress bar of the kind that tqdm is: a class."""

    lengths: list[int]

    def __init__(self, items: Iterable[Any]) -> None:
        self.items = list(items)
        type(self).lengths.append(len(self.items))

    def __iter__(self) -> Iterator[Any]:
        return iter(self.items)


CALLS: dict[str, tuple[Callable[[Any], object], list[int]]] = {
    "certify": (
        lambda bar: ex.certify(ATTENTION, CONV, size=(5, 4), progress=bar),
        [5],
    ),
    "worst_case_error": (
        lambda bar: ex.worst_case_error(CONV, alpha=2.0, size=(5, 4), progress=bar),
        [5],
    ),
    "worst_case_error of a layer": (
        lambda bar: ex.worst_case_error(ATTENTION, CONV, size=(5, 4), progress=bar),
        [5],
    ),
    "convert": (lambda bar: ex.convert(NETWORK, progress=bar), [2]),
    "convert, with a run": (
        lambda bar: ex.convert(NETWORK, inputs=X, progress=bar),
        [2],
    ),
    "save": (
        lambda bar: ex.convert(NETWORK).content(progress=bar),
        [2],
    ),
    "error_sweep": (
        lambda bar: ex.error_sweep(CONV, X, [1.0, 2.0, 3.0], progress=bar),
        [3],
    ),
    "gather": (
        lambda bar: gather(ex.atlas.FAMILIES["alibi"], steps=200, progress=bar),
        [201, 201],
    ),
    "explore": (
        lambda bar: ex.explore(CONV, X, families=(), progress=bar),
        [0, 1],
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_progress_sees_everything(name: str) -> None:
    call, lengths = CALLS[name]
    bar = type("Bar", (Bar,), {"lengths": []})
    call(bar)
    assert bar.lengths == lengths
    assert call(None) is not None


@pytest.mark.parametrize("progress", [3, "tqdm", nn.Conv2d, nn.ReLU(), [1]])
@pytest.mark.parametrize("name", CALLS)
def test_what_wraps_nothing_is_refused(name: str, progress: object) -> None:
    with pytest.raises(ArgumentError, match=r"progress needs a function that takes"):
        CALLS[name][0](progress)
