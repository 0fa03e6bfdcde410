"""The way the last input was evaluated, for the next input of its kind.

Checking an input, choosing a strategy and finding its plan take longer than a small
convolution. Nothing of that changes while the input is of one kind and the parameters
are where they were; this file says what has to be the same.
"""

from collections.abc import Callable
from dataclasses import dataclass
from operator import is_
from typing import Self

import torch
from torch import Tensor

from expressivity.attention.parameters import AttentionParameters
from expressivity.geometry import ConvGeometry
from expressivity.geometry.grid import Grid
from expressivity.heads.memo import is_at_hand
from expressivity.heads.parameters import Heads
from expressivity.machine.recording import are_recorded
from expressivity.numbers.precision import autocast_is_on
from expressivity.strategies import prepared


@dataclass(frozen=True, eq=False)
class Repetition:
    """The evaluation of inputs of one kind, with a kernel that is a view.

    Attributes:
        attend: Evaluates the layer on a batch.
        geometry: Canvas and query grid.
        strategy: What the layer was set to.
        parameters: All parameters of the layer, or ``None``, in its order.
        weight: The projection that the kernel is a view of.
        memory: Where its numbers are.
        positions: α and Δ.
        numbers: What they hold.
        shape: Of the input, batch included.
        dtype: Of the input.
    """

    attend: Callable[[Tensor], Tensor]
    geometry: ConvGeometry
    strategy: str
    parameters: tuple[Tensor | None, ...]
    weight: Tensor
    memory: tuple[object, ...]
    positions: tuple[Tensor, Tensor]
    numbers: tuple[list[float], list[list[float]]]
    shape: torch.Size
    dtype: torch.dtype

    @classmethod
    def of(
        cls, layer: AttentionParameters, heads: Heads, grid: Grid, x: Tensor
    ) -> Self | None:
        """Return how a layer evaluates batches like one; ``None`` if that may change.

        Args:
            layer: The layer.
            heads: Its parameters.
            grid: Canvas and queries.
            x: The batch.
        """
        parameters = tuple(layer._parameters.values())
        if not is_at_hand(x) or autocast_is_on(x.device) or not _are_all(heads, layer):
            return None
        attend = prepared(layer.strategy, heads, grid, x)
        if attend is None:
            return None
        weight, positions = heads.projections[0], (heads.alpha, heads.centers)
        return cls(
            attend,
            layer.geometry,
            layer.strategy,
            parameters,
            weight,
            _memory(weight),
            positions,
            (heads.alpha.tolist(), heads.centers.tolist()),
            x.shape,
            x.dtype,
        )

    def suits(self, layer: AttentionParameters, x: Tensor) -> bool:
        """Return whether the layer, as it is now, evaluates an input in this way.

        That no tracer records it is for the caller to know.
        """
        alpha, centers = self.positions
        own = layer._parameters.values()
        return (
            type(x) is Tensor
            and x.shape == self.shape
            and x.dtype is self.dtype
            and is_at_hand(x)
            and len(own) == len(self.parameters)
            and all(map(is_, own, self.parameters))
            and layer.geometry is self.geometry
            and layer._strategy == self.strategy
            and not are_recorded((alpha, centers, self.weight))
            and not autocast_is_on(x.device)
            and _memory(self.weight) == self.memory
            and (alpha.tolist(), centers.tolist()) == self.numbers
        )


def _memory(tensor: Tensor) -> tuple[object, ...]:
    """Return where the numbers of a tensor are."""
    return tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride()


def _are_all(heads: Heads, layer: AttentionParameters) -> bool:
    """Whether no parametrisation and no functional call put a tensor in its place."""
    own = list(map(id, layer._parameters.values()))
    used = (heads.alpha, heads.centers, heads.bias, *heads.projections)
    is_plain = type(layer).heads is AttentionParameters.heads
    return is_plain and all(tensor is None or id(tensor) in own for tensor in used)
