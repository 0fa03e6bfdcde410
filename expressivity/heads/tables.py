"""Relative tables: a score of its own for every displacement of a window.

Beside the quadratic encoding a head may have a free table. Its positional score is then

    s_h(δ) = −α_h ‖δ − Δ_h‖² + table_h(δ)

for the displacements δ = k − q of a window, and −∞ outside of it: with α_h = 0 the
attention is any probability distribution over the window. Where borders of the canvas
cut a window off, the softmax is over what is left of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from expressivity.errors import ArgumentError, InputError
from expressivity.geometry.positions import displacements
from expressivity.geometry.window import Window
from expressivity.machine.recording import is_traced


@dataclass(frozen=True)
class Table:
    """A score for every displacement of a window, −∞ for all others.

    Attributes:
        scores: Added to the quadratic scores, (heads, *window.size); −∞ for what a
            head does not attend to.
        window: The displacements.

    Raises:
        ArgumentError: If the shape of the scores is not that of the window.

    Example:
        >>> table = Table(torch.tensor([[1.0, 2.0]]), Window((0,), (2,), (1,)))
        >>> table.between([range(2)], [3]).tolist()
        [[[1.0, 2.0, -inf], [-inf, 1.0, 2.0]]]
    """

    scores: Float[Tensor, "heads ..."]
    window: Window

    def __post_init__(self) -> None:
        if tuple(self.scores.shape[1:]) != self.window.size:
            raise ArgumentError(
                f"a table over {self.window} needs shape (heads, *{self.window.size}), "
                f"got {tuple(self.scores.shape)}"
            )

    def between(
        self, queries: Sequence[range], canvas_size: Sequence[int]
    ) -> Float[Tensor, "heads queries keys"]:
        """Return table_h(k − q), −∞ outside of the window, for every query and key.

        Queries and keys are flattened in row-major order.

        Args:
            queries: Query positions along each axis.
            canvas_size: Tokens along each axis.
        """
        window, device = self.window, self.scores.device
        axes = len(window.size)
        index = torch.zeros((), dtype=torch.long, device=device)
        inside = torch.ones((), dtype=torch.bool, device=device)
        for axis, (low, size, step) in enumerate(
            zip(window.low, window.size, window.step, strict=True)
        ):
            keys = range(canvas_size[axis])
            beyond = displacements([queries[axis]], [keys], device)[..., 0] - low
            entry = beyond.div(step, rounding_mode="floor")
            is_entry = (beyond == entry * step) & (entry >= 0) & (entry < size)
            view = [1] * (2 * axes)
            view[axis], view[axes + axis] = beyond.shape
            index = index * size + entry.reshape(view)
            inside = inside & is_entry.reshape(view)
        entries = self.scores.flatten(1)
        outside = entries.new_full((len(entries), 1), -torch.inf)
        index = torch.where(inside, index, entries.shape[1])
        scores = torch.cat([entries, outside], 1).index_select(1, index.flatten())
        pairs: Tensor = scores.unflatten(1, index.shape)
        return pairs.flatten(1 + axes).flatten(1, axes)

    def check_reach(self, queries: Sequence[range], canvas_size: Sequence[int]) -> None:
        """Refuse a canvas on which some head attends to no token from some query.

        Tracers, and tensors without numbers (meta, vmap), are not checked for entries
        of −∞: the softmax then yields NaN.

        Args:
            queries: Query positions along each axis.
            canvas_size: Tokens along each axis.

        Raises:
            InputError: If a table is −∞ at all tokens of the canvas, from some query.
        """
        stretches = self.window.stretches(queries, canvas_size)
        if is_traced():
            return
        counts = (~self.scores.detach().isneginf()).float()
        for axis, size in zip(stretches, self.window.size, strict=True):
            reach = counts.new_zeros(size, len(axis))
            for place, (_, entries) in enumerate(axis):
                reach[entries.start : entries.stop, place] = 1
            counts = torch.tensordot(counts, reach, dims=([1], [0]))
        try:
            isolated = (counts == 0).nonzero()[:1].tolist()
        except RuntimeError:
            return
        for head, *places in isolated:
            query = tuple(
                axis[place].queries[0]
                for axis, place in zip(stretches, places, strict=True)
            )
            raise InputError(
                f"every query needs a token that a head can attend to, got head {head} "
                f"with a table of −∞ wherever the query at {query} finds one of the "
                f"{tuple(canvas_size)} tokens: raise entries or enlarge the input"
            )
