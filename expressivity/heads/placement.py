"""The numbers that α and Δ hold, in eager mode and while a graph is traced.

A tracer sees tensors without numbers. It does see the object that a layer keeps beside
its parameters, a :class:`Placement`, and may ask that for the numbers:

- ``torch.compile`` bakes the answer into the graph and compares it with a new one
  before each call (an opaque type with a guard, private to torch and recent). It
  traces again when α or Δ have changed. It is told nothing without such types, nor of
  parameters that are trained: torch stops compiling what it has to trace too often.
- ``torch.export`` bakes the answer into the program, which keeps it for good.

An answer is given for the very tensors that the placement holds, and for no others:
not for what a parametrisation computes, nor for what ``torch.func.functional_call``
puts in their place.
"""

import math
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from expressivity.heads.leak import head_leaks
from expressivity.heads.memo import (
    Memo,
    is_at_hand,
)
from expressivity.heads.opaque import (
    OpaqueBase,
    make_opaque,
    stands_for,
    untraced,
)
from expressivity.machine.recording import is_followed

Answer = TypeVar("Answer")

# Pixels; no canvas is so wide, and whole numbers end not far beyond.
_FARTHEST = 2**24


class Values(NamedTuple):
    """The numbers that α and Δ hold."""

    alphas: tuple[float, ...]
    centers: tuple[tuple[float, ...], ...]

    def leaks(self) -> list[float]:
        """Return what each head gives to pixels off its target, at most.

        Returns:
            Probabilities, see :func:`expressivity.accuracy.head_leaks`.
        """
        alpha, centers = (
            torch.tensor(v, dtype=torch.float64, device="cpu") for v in self
        )
        leaks: list[float] = head_leaks(alpha, centers).tolist()
        return leaks


class Placement(OpaqueBase):  # type: ignore[misc]
    """The α and Δ of a layer, for those who may not look at its tensors.

    Attributes:
        alpha: Locality strengths, 1/pixel², (heads,), or ``None``.
        centers: Attention centers in pixels, (heads, axes), or ``None``.
    """

    def __init__(self, alpha: Tensor | None, centers: Tensor | None) -> None:
        """Hold the parameters of a layer.

        Args:
            alpha: Locality strengths.
            centers: Attention centers.
        """
        self.alpha, self.centers = alpha, centers
        self._memo = Memo()

    def values(self) -> Values | None:
        """Return the numbers that the parameters hold now.

        Returns:
            As :func:`values_of`.
        """
        if self.alpha is None or self.centers is None:
            return None
        return values_of(self.alpha, self.centers, self._memo)

    def forget(self) -> None:
        """Read the parameters again before the next answer."""
        self._memo.clear()

    def ask(self, question: Callable[..., Answer], *about: object) -> Answer | None:
        """Answer a question about the numbers, for a tracer to bake the answer in.

        Args:
            question: A function of the values, and of what it is about.
            *about: Constants.

        Returns:
            The answer, of nothing but constants; ``None`` if there are no numbers.
        """
        with untraced():
            values = self.values()
            return None if values is None else question(values, *about)


def values_of(alpha: Tensor, centers: Tensor, memo: Memo) -> Values | None:
    """Return the numbers that α and Δ hold.

    On a device that runs behind, they are fetched once and kept until they change.

    Args:
        alpha: Locality strengths, (heads,).
        centers: Attention centers, (heads, axes).
        memo: Where to keep them.

    Returns:
        The values; ``None`` where there are none (meta, vmap) or some are not finite
        or far off every canvas.
    """
    if is_at_hand(alpha):
        return _fetched(alpha, centers)
    return memo.get("values", (alpha, centers), lambda: _fetched(alpha, centers))


def placement_of(
    find: Callable[[], Placement] | None, alpha: Tensor, centers: Tensor
) -> Placement | None:
    """Return the placement that answers for tensors that are being traced.

    Args:
        find: Returns what a layer keeps beside its parameters. It is not called
            without need: ``torch.compile`` guards every placement that it sees.
        alpha: Locality strengths as the tracer sees them.
        centers: Attention centers as the tracer sees them.

    Returns:
        The placement; ``None`` unless these are the tensors that it holds, and a
        change of theirs will be noticed.
    """
    if find is None:
        return None
    if not torch.compiler.is_dynamo_compiling():
        if is_followed() and not torch.compiler.is_compiling():
            return None
        placement = find()
        held = (placement.alpha, placement.centers)
        return placement if all(map(stands_for, (alpha, centers), held)) else None
    trained = alpha.requires_grad or centers.requires_grad
    # Otherwise every evaluation between two steps would be traced.
    if not _IS_GUARDED or (trained and not torch.compiler.is_exporting()):
        return None
    placement = find()
    known = placement.alpha is alpha and placement.centers is centers
    return placement if known else None


def _fetched(alpha: Tensor, centers: Tensor) -> Values | None:
    try:
        alphas, places = alpha.tolist(), centers.tolist()
    except RuntimeError:
        return None
    if not math.isfinite(sum(alphas) + sum(map(sum, places))):
        return None
    if max(map(max, places)) > _FARTHEST or min(map(min, places)) < -_FARTHEST:
        return None
    return Values(tuple(alphas), tuple(map(tuple, places)))


_IS_GUARDED = make_opaque(
    Placement,
    guard=Placement.values,
    constants=["ask"],
    attributes=["alpha", "centers"],
)
