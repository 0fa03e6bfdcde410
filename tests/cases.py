"""Convolutions to test on: a seeded list, and a space of options to draw from.

A case of the list is a base case with the fields changed that its id spells out, so
the id cannot say anything else than what is tested.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from math import prod
from random import Random
from typing import Any, Protocol

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

MODES = ("zeros", "reflect", "replicate", "circular")
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@dataclass(frozen=True)
class Case:
    """Options of a convolution and of an input to it, spelled as in torch."""

    kernel_size: tuple[int, ...] = (3, 2)
    size: tuple[int, ...] = (6, 5)
    in_channels: int = 4
    out_channels: int = 8
    stride: int | tuple[int, ...] = 1
    padding: int | tuple[int, ...] | str = 1
    dilation: int | tuple[int, ...] = 1
    groups: int = 1
    bias: bool = True
    padding_mode: str = "zeros"
    seed: int = 0

    def __str__(self) -> str:
        changed = [
            f"{field.name}={getattr(self, field.name)}"
            for field in fields(self)
            if getattr(self, field.name) != field.default
        ]
        return " ".join(changed).replace(", ", ",") or "base"

    def conv(self, dtype: torch.dtype = torch.float64) -> Any:
        """Return the convolution, with normal weights of about unit gain."""
        kind = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[len(self.kernel_size) - 1]
        conv = nn.utils.skip_init(
            kind,
            self.in_channels,
            self.out_channels,
            self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
            bias=self.bias,
            padding_mode=self.padding_mode,
            dtype=dtype,
        )
        with torch.no_grad():
            fan_in = prod(conv.weight.shape[1:])
            conv.weight.copy_(self._normal(0, *conv.weight.shape) / fan_in**0.5)
            if conv.bias is not None:
                conv.bias.copy_(self._normal(1, self.out_channels))
        return conv

    def input(self, batch: int = 2, dtype: torch.dtype = torch.float64) -> Tensor:
        """Return a normal input."""
        return self._normal(2, batch, self.in_channels, *self.size).to(dtype)

    def _normal(self, stream: int, *shape: int) -> Tensor:
        generator = torch.Generator().manual_seed(3 * self.seed + stream)
        return torch.randn(shape, generator=generator, dtype=torch.float64)


BASE = Case()
BASE_1D = replace(BASE, kernel_size=(3,), size=(7,))
BASE_3D = replace(BASE, kernel_size=(2, 3, 1), size=(4, 3, 5))

CASES = [
    BASE,
    *(replace(BASE, kernel_size=k) for k in [(1, 1), (3, 3), (2, 4), (1, 5), (5, 1)]),
    *(replace(BASE, size=size) for size in [(1, 1), (2, 9)]),
    *(replace(BASE, in_channels=c, out_channels=o) for c, o in [(1, 1), (4, 4)]),
    *(replace(BASE, out_channels=outputs) for outputs in [1, 2]),
    *(replace(BASE, stride=stride) for stride in [2, (1, 3), 4]),
    *(replace(BASE, padding=p) for p in [0, (2, 0), 3, "same", "valid"]),
    *(replace(BASE, padding="same", padding_mode=mode) for mode in MODES[1:]),
    *(replace(BASE, dilation=dilation) for dilation in [2, (1, 3)]),
    *(replace(BASE, padding_mode=mode) for mode in MODES[1:]),
    *(replace(BASE, padding_mode=mode, padding=(2, 4)) for mode in MODES[1:]),
    replace(BASE, padding_mode="replicate", padding=7),
    *(replace(BASE, groups=groups) for groups in [2, 4]),
    replace(BASE, groups=4, out_channels=4),
    replace(BASE, bias=False),
    BASE_1D,
    *(replace(BASE_1D, padding_mode=mode) for mode in MODES[1:]),
    replace(BASE_1D, kernel_size=(4,), padding="same"),
    replace(BASE_1D, stride=5),
    replace(BASE_1D, dilation=3, padding=3),
    BASE_3D,
    *(replace(BASE_3D, padding_mode=mode) for mode in MODES[1:]),
    replace(BASE_3D, stride=(1, 2, 3), groups=2),
    replace(BASE_3D, padding="same", dilation=(1, 1, 2)),
]


class Chooser(Protocol):
    """A source of choices: hypothesis, or a seeded generator."""

    def integer(self, low: int, high: int) -> int:
        """Return an integer of a closed interval."""

    def among(self, options: Sequence[Any]) -> Any:
        """Return one of the options."""


@dataclass(frozen=True)
class RandomChooser:
    """Choices of a seeded generator: fast, for long searches."""

    random: Random

    def integer(self, low: int, high: int) -> int:
        """Return a uniform integer of a closed interval."""
        return self.random.randint(low, high)

    def among(self, options: Sequence[Any]) -> Any:
        """Return one of the options, all alike."""
        return self.random.choice(options)


@dataclass(frozen=True)
class HypothesisChooser:
    """Choices of hypothesis: shrunk to the simplest failure."""

    draw: Callable[[st.SearchStrategy[Any]], Any]

    def integer(self, low: int, high: int) -> int:
        """Return an integer of a closed interval, shrunk to its lower end."""
        return self.draw(st.integers(low, high))

    def among(self, options: Sequence[Any]) -> Any:
        """Return one of the options, shrunk to the first."""
        return self.draw(st.sampled_from(options))


def choose_case(choose: Chooser) -> Case:
    """Return a random case: every option of torch's convolutions at once."""
    axes = choose.integer(1, 3)
    largest = {1: 6, 2: 4, 3: 3}[axes]
    kernel_size = tuple(choose.integer(1, largest) for _ in range(axes))
    dilation = _number_or_tuple(choose, axes, 3)
    mode = choose.among(MODES)
    stride: int | tuple[int, ...] = 1
    padding: int | tuple[int, ...] | str = choose.among(["numbers", "valid", "same"])
    if padding == "numbers":
        padding = _number_or_tuple(choose, axes, 3, low=0)
    if padding != "same":
        stride = _number_or_tuple(choose, axes, 4)
    extents = _extents(kernel_size, dilation)
    spare = tuple(choose.integer(0, 3) for _ in range(axes))
    groups = choose.integer(1, 3)
    depthwise = choose.among([False, True])
    return Case(
        kernel_size=kernel_size,
        size=tuple(
            least + extra
            for least, extra in zip(
                _smallest_size(extents, padding, mode), spare, strict=True
            )
        ),
        in_channels=groups * (1 if depthwise else choose.integer(1, 3)),
        out_channels=groups * choose.integer(1, 3),
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        bias=choose.among([True, False]),
        padding_mode=mode,
        seed=choose.integer(0, 2**20),
    )


@st.composite
def cases(draw: Any) -> Case:
    """Return the strategy of :func:`choose_case`."""
    return choose_case(HypothesisChooser(draw))


def _number_or_tuple(
    choose: Chooser, axes: int, high: int, low: int = 1
) -> int | tuple[int, ...]:
    if choose.among(["number", "tuple"]) == "number":
        return choose.integer(low, high)
    return tuple(choose.integer(low, high) for _ in range(axes))


def _extents(kernel_size: Sequence[int], dilation: int | Sequence[int]) -> list[int]:
    if isinstance(dilation, int):
        dilation = [dilation] * len(kernel_size)
    return [d * (k - 1) + 1 for k, d in zip(kernel_size, dilation, strict=True)]


def _smallest_size(
    extents: Sequence[int], padding: int | Sequence[int] | str, mode: str
) -> list[int]:
    """Return the fewest pixels per axis that torch's convolution takes."""
    if padding == "same":
        pads = [extent // 2 for extent in extents]  # the wider side
        least = [1] * len(extents)
    else:
        numbers = 0 if padding == "valid" else padding
        pads = [numbers] * len(extents) if isinstance(numbers, int) else list(numbers)
        least = [
            max(1, extent - 2 * pad) for extent, pad in zip(extents, pads, strict=True)
        ]
    widest = {"reflect": 1, "circular": 0}.get(mode)
    if widest is None:
        return least
    return [max(low, pad + widest) for low, pad in zip(least, pads, strict=True)]
