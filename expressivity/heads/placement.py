"""The numbers that α and Δ hold, in eager mode and for tracers.

A tracer sees tensors without numbers. It may ask the :class:`Placement`, an object that
a layer keeps beside its parameters, for the numbers:

- ``torch.compile`` bakes the answer into the graph and compares it with a new one
  before each call (an opaque type with a guard, private to torch and recent). It
  traces again when α or Δ have changed. It gets no answer without such types, nor
  while α or Δ are trained: torch stops compiling what it has to trace too often.
- ``torch.export`` bakes the answer into the program, which keeps it for good.

A placement answers for its own two tensors and for no others: not for the results of a
parametrisation, nor for what ``torch.func.functional_call`` puts in their place.
"""

import math
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from expressivity.heads.leak import head_leaks
from expressivity.heads.memo import Memo, is_at_hand
from expressivity.heads.opaque import OpaqueBase, make_opaque, stands_for, untraced
from expressivity.machine.recording import is_followed

Answer = TypeVar("Answer")

# Pixels; no canvas is so wide, and whole numbers end not far beyond.
_FARTHEST = 2**24


class Values(NamedTuple):
    """The numbers that α and Δ hold."""

    alphas: tuple[float, ...]
    centers: tuple[tuple[float, ...], ...]

    def leaks(self) -> list[float]:
        """Return the leaks of all heads, as :func:`head_leaks` bounds them."""
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
        """Take the parameters of a layer."""
        self.alpha, self.centers = alpha, centers
        self._memo = Memo()

    def values(self) -> Values | None:
        """Return the numbers that the parameters hold now, as :func:`values_of`."""
        if self.alpha is None or self.centers is None:
            return None
        return values_of(self.alpha, self.centers, self._memo)

    def forget(self) -> None:
        """Read the parameters again before the next answer."""
        self._memo.clear()

    def ask(self, question: Callable[..., Answer], *about: object) -> Answer | None:
        """Return the answer to a question, which a tracer takes for a constant.

        Args:
            question: A function of the values and of other constants.
            *about: Those constants.

        Returns:
            The answer, made of constants only; ``None`` if there are no numbers.
        """
        with untraced():
            values = self.values()
            return None if values is None else question(values, *about)


def values_of(alpha: Tensor, centers: Tensor, memo: Memo) -> Values | None:
    """Return the numbers that α and Δ hold.

    On an asynchronous device they are read once and remembered until they change.

    Args:
        alpha: Locality strengths, (heads,).
        centers: Attention centers, (heads, axes).
        memo: Where to remember them.

    Returns:
        The values; ``None`` where tensors hold no numbers (meta, vmap), or some number
        is not finite or far off every canvas.
    """
    if is_at_hand(alpha):
        return _read(alpha, centers)
    return memo.get("values", (alpha, centers), lambda: _read(alpha, centers))


def placement_of(
    find: Callable[[], Placement] | None, alpha: Tensor, centers: Tensor
) -> Placement | None:
    """Return the placement that answers for the tensors of a tracer.

    Args:
        find: Returns the placement of a layer. It is not called without need:
            ``torch.compile`` guards every placement that it sees.
        alpha: Locality strengths as the tracer sees them.
        centers: Attention centers as the tracer sees them.

    Returns:
        The placement; ``None`` unless these are its tensors and torch will notice when
        they change.
    """
    if find is None:
        return None
    if not torch.compiler.is_dynamo_compiling():
        if is_followed() and not torch.compiler.is_compiling():
            return None
        placement = find()
        real = (placement.alpha, placement.centers)
        return placement if all(map(stands_for, (alpha, centers), real)) else None
    trainable = alpha.requires_grad or centers.requires_grad
    # Otherwise torch would trace every evaluation between two steps of training.
    if not _IS_GUARDED or (trainable and not torch.compiler.is_exporting()):
        return None
    placement = find()
    same = placement.alpha is alpha and placement.centers is centers
    return placement if same else None


def _read(alpha: Tensor, centers: Tensor) -> Values | None:
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
