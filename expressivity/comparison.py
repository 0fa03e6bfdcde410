"""Measure how far apart the outputs of two modules are."""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from expressivity.checks import check_instance, shown
from expressivity.errors import InputError
from expressivity.results import Result


@dataclass(frozen=True)
class Difference(Result):
    """How far apart the outputs of two modules were on given inputs.

    Attributes:
        largest: Largest absolute difference between two outputs.
        scale: Largest absolute value in the outputs of the first module.
    """

    largest: float
    scale: float

    def __str__(self) -> str:
        return (
            f"largest difference {self.largest:.3g}, {self.relative:.3g} of the "
            f"largest output {self.scale:.3g}"
        )

    def to_dict(self) -> dict[str, float]:
        """Return the numbers as JSON takes them."""
        return {**asdict(self), "relative": self.relative}

    @property
    def relative(self) -> float:
        """The largest difference over the scale; 0 where both are 0."""
        if not self.scale:
            return math.inf if self.largest else 0.0
        return self.largest / self.scale


def compare(
    first: nn.Module, second: nn.Module, inputs: Iterable[Tensor]
) -> Difference:
    """Run two modules on the same inputs and compare all their outputs.

    Outputs may be tensors or any nesting of tuples, lists and dictionaries of
    them. Both modules run as they are (training mode included), without gradients.

    Args:
        first: The reference; sets the scale.
        second: The module compared with it.
        inputs: Tensors that both modules take.

    Returns:
        The largest difference and the scale. A NaN or an infinity that only one of
        the two produces counts as an infinite difference.

    Raises:
        InputError: If the outputs do not have the same structure, or hold no
            tensor at all.

    Example:
        >>> conv = nn.Conv2d(1, 1, 3)
        >>> compare(conv, conv, [torch.ones(1, 1, 4, 4)]).largest
        0.0
    """
    largest = scale = 0.0
    compared = 0
    for name, module in (("first", first), ("second", second)):
        check_instance(name, module, nn.Module, "Compare modules")
    if not isinstance(inputs, Iterable) or isinstance(inputs, Tensor):
        raise InputError(
            f"inputs needs an iterable of tensors, got {shown(inputs)}: pass [x]"
        )
    with torch.no_grad():
        for x in inputs:
            if not isinstance(x, Tensor):
                raise InputError(f"inputs needs tensors only, got {shown(x)}")
            # Either may change its input in place.
            found = difference(first(x.clone()), second(x.clone()))
            compared += 1
            largest, scale = max(largest, found.largest), max(scale, found.scale)
    if not compared:
        raise InputError("inputs needs one tensor at least: nothing was compared")
    return Difference(largest, scale)


def difference(output: object, other: object) -> Difference:
    """Compare what two modules returned.

    Args:
        output: The reference: tensors, in any nesting.
        other: What is compared with it.

    Returns:
        The largest difference and the scale.

    Raises:
        InputError: If the two do not have the same structure, or hold no tensor.
    """
    ours, theirs = _tensors(output), _tensors(other)
    shapes = [[tuple(t.shape) for t in tensors] for tensors in (ours, theirs)]
    if shapes[0] != shapes[1]:
        raise InputError(
            "the two modules return outputs of different shapes: "
            f"{shapes[0]} and {shapes[1]}"
        )
    if not ours:
        raise InputError("the modules returned no tensor: nothing was compared")
    largest = scale = 0.0
    for a, b in zip(ours, theirs, strict=True):
        if a.numel():
            gap, size = _gap_and_size(a, b)
            largest, scale = max(largest, gap), max(scale, size)
    return Difference(largest, scale)


def _tensors(output: object) -> list[Tensor]:
    return [leaf for leaf in pytree.tree_leaves(output) if isinstance(leaf, Tensor)]


def _gap_and_size(a: Tensor, b: Tensor) -> tuple[float, float]:
    """Return the largest |a − b| and the largest finite |a|."""
    wide = torch.promote_types(a.dtype, torch.float64)
    a, b = a.to(wide), b.to(wide)
    same = (a == b) | (a.isnan() & b.isnan())
    gap = torch.where(same, 0.0, (a - b).abs()).nan_to_num(math.inf, math.inf)
    return float(gap.max()), float(a.abs().nan_to_num(0, 0, 0).max())
