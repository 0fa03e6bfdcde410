"""The way the last input was evaluated, for the next input of its kind.

Checking an input, choosing a strategy and finding its plan take longer than a small
convolution. Nothing of that changes while the input is of one kind and the parameters
are where they were; this file says what has to be the same.
"""

from collections.abc import Callable, Iterable
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
from expressivity.machine.memory_format import format_of
from expressivity.machine.recording import is_ordinary
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
        kind: Of the input.
        format: Memory format of the input, and so of the output.
    """

    attend: Callable[[Tensor], Tensor]
    geometry: ConvGeometry
    strategy: str
    parameters: tuple[Tensor | None, ...]
    weight: Tensor
    memory: tuple[object, ...]
    positions: tuple[Tensor, Tensor]
    numbers: tuple[list[float], list[list[float]]]
    kind: tuple[object, ...]
    format: torch.memory_format

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
        if torch.is_grad_enabled() and _are_trained(parameters):
            return None
        if not (is_ordinary() and is_at_hand(x) and _are_all(heads, layer)):
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
            _kind(x),
            format_of(x),
        )

    def __call__(self, x: Tensor) -> Tensor:
        """Return the output of the layer, for an input that suits."""
        return self.attend(x).contiguous(memory_format=self.format)

    def suits(self, layer: AttentionParameters, x: Tensor) -> bool:
        """Return whether the layer, as it is now, evaluates an input in this way.

        That torch is ordinary is for the caller to know.
        """
        alpha, centers = self.positions
        own = layer._parameters.values()
        return (
            type(x) is Tensor
            and _kind(x) == self.kind
            and len(own) == len(self.parameters)
            and all(map(is_, own, self.parameters))
            and layer.geometry is self.geometry
            and layer._strategy == self.strategy
            and not (torch.is_grad_enabled() and _are_trained(self.parameters))
            and _memory(self.weight) == self.memory
            and alpha.tolist() == self.numbers[0]
            and centers.tolist() == self.numbers[1]
        )


def _kind(x: Tensor) -> tuple[object, ...]:
    """Return all that evaluations depend on but numbers, where torch is ordinary."""
    return (
        x.shape,
        x.stride(),
        x.dtype,
        x.device,
        x.requires_grad,
        torch.is_grad_enabled(),
        torch._C._get_mkldnn_enabled(),  # as torch.backends.mkldnn.enabled has it
    )


def _are_trained(parameters: Iterable[Tensor | None]) -> bool:
    return any(own is not None and own.requires_grad for own in parameters)


def _memory(tensor: Tensor) -> tuple[object, ...]:
    """Return where the numbers of a tensor are."""
    return tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride()


def _are_all(heads: Heads, layer: AttentionParameters) -> bool:
    """Whether no parametrisation and no functional call put a tensor in its place."""
    own = list(map(id, layer._parameters.values()))
    used = (heads.alpha, heads.centers, heads.bias, *heads.projections)
    is_plain = type(layer).heads is AttentionParameters.heads
    return is_plain and all(tensor is None or id(tensor) in own for tensor in used)
