"""The largest row norm of every output channel, with few rows formed."""

from collections.abc import Callable, Sequence
from dataclasses import fields
from itertools import product

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from expressivity.accuracy.rows.axis import AxisRows, QueryView, stacked, together
from expressivity.accuracy.rows.bounds import AxisView, row_bounds
from expressivity.accuracy.rows.norms import RowNorms
from expressivity.checks import Progress


class RowSearch:
    """A search over all queries that see different rows.

    Attributes:
        largest: The largest norm so far, (out_channels,).
        places: Where it is, as an index of what each axis sees, (out_channels, axes).
        complete: Whether all rows were formed.
    """

    def __init__(self, norms: RowNorms, along: Sequence[Sequence[QueryView]]) -> None:
        """Prepare a search.

        Args:
            norms: The operator.
            along: What the queries of each axis see.
        """
        self._norms, self._along = norms, along
        self._last = stacked([view.rows for view in along[-1]])
        outputs = len(norms.heads)
        self.largest = norms.heads.new_full((outputs,), -1.0)
        self.places = torch.zeros(outputs, len(along), dtype=torch.long, device="cpu")
        self.complete = True

    def run(
        self,
        limits: Sequence[Sequence[int]],
        alone: Bool[Tensor, " heads"],
        slack: Callable[[], Float[Tensor, " out_channels"]],
        progress: Progress = iter,
    ) -> None:
        """Form the far row, and then all rows that may be larger.

        Args:
            limits: The limits of the heads, in pixels from the query, one an axis.
            alone: Which heads share their limit with no other.
            slack: Returns by how much a row that is not formed may exceed the largest
                one, given the largest norms so far.
            progress: Wraps the places along all axes but the last.
        """
        shape = tuple(map(len, self._along))
        far = [
            next((place for place, view in enumerate(axis) if view.interior), None)
            for axis in self._along
        ]
        places = [place for place in far if place is not None]
        bounds = self.largest.new_full((len(self.largest), *shape), torch.inf)
        if len(places) == len(far) and len(self._norms.head_groups):
            bounds = self._bounds(places, limits, alone)
            bounds.movedim(0, -1)[tuple(places)] = -torch.inf
        allowed = self.largest + slack()
        highest = bounds.amax(dim=(0, -1))
        outermost = sorted(
            product(*map(range, shape[:-1])), key=lambda at: -float(highest[at])
        )
        for outer in progress(outermost):
            above = bounds.movedim(0, -1)[outer].mT > allowed[:, None]
            queries = above.any(0).nonzero()[:, 0]
            if len(queries):
                self._measure(outer, queries, above.any(1).nonzero()[:, 0])
                allowed = torch.maximum(allowed, self.largest)
        self.complete = bool(torch.isinf(bounds).all())

    def _bounds(
        self,
        far: Sequence[int],
        limits: Sequence[Sequence[int]],
        alone: Bool[Tensor, " heads"],
    ) -> Float[Tensor, "out_channels ..."]:
        """Form the row of the far query, and bound all others by it."""
        every = torch.arange(len(self.largest), device="cpu")
        here = [axis[place] for axis, place in zip(self._along, far, strict=True)]
        outer, last = self._outer(far[:-1]), stacked([here[-1].rows])
        sums = self._norms.at_pixels(outer, last, every)
        self._keep(sums, every, far[:-1], torch.tensor(far[-1:], device="cpu"))
        along = [
            AxisView.of(axis, view, reach)
            for axis, view, reach in zip(self._along, here, limits, strict=True)
        ]
        shape = (len(every), *(len(view.pixels) for view in here))
        at_limits = self._norms.at_limits(outer, last)
        return row_bounds(self._norms, sums.reshape(shape), at_limits, along, alone)

    def _measure(self, outer: Sequence[int], queries: Tensor, outputs: Tensor) -> None:
        """Form the rows of some queries that share the outer axes."""
        last = AxisRows(
            *(getattr(self._last, field.name)[queries] for field in fields(AxisRows))
        )
        sums = self._norms.at_pixels(self._outer(outer), last, outputs)
        self._keep(sums, outputs, outer, queries)

    def _keep(
        self, sums: Tensor, outputs: Tensor, outer: Sequence[int], queries: Tensor
    ) -> None:
        """Remember the largest norms."""
        norms, index = sums.sum(dim=(2, 3)).max(1)
        better = norms > self.largest[outputs]
        winners = outputs[better]
        self.largest[winners] = norms[better]
        start = torch.tensor(outer, dtype=torch.long, device="cpu")
        ends = queries[index[better], None]
        self.places[winners] = torch.cat([start.expand(len(ends), -1), ends], 1)

    def _outer(self, places: Sequence[int]) -> AxisRows:
        """Return what queries see along all axes but the last."""
        views = [
            axis[place] for axis, place in zip(self._along[:-1], places, strict=True)
        ]
        return together([one.rows for one in views], like=self._along[-1][0].rows)
