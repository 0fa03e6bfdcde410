"""Memory for intermediate results, which a thread uses again."""

import threading
from collections.abc import Callable, Hashable
from math import prod
from typing import Any, TypeVar

import torch
from torch import Tensor

# Numbers of a buffer that is kept, at most: 16 MiB in float32.
MOST_KEPT = 2**22
# Views that are kept, at most.
_MOST_VIEWS = 1024

Views = TypeVar("Views")


class _Kept(threading.local):
    """Memory that this thread has used before, by name and dtype, and views of it."""

    def __init__(self) -> None:
        self.flat: dict[tuple[str, torch.dtype], Tensor] = {}
        self.views: dict[Hashable, Any] = {}


_kept = _Kept()


def kept_views(key: Hashable, make: Callable[[], Views]) -> Views:
    """Return views of buffers that this thread keeps, as they were made before.

    To make a view takes as long as to multiply a small image.

    Args:
        key: All that the views depend on.
        make: Makes them. It asks for each buffer once, and for none that is large.
    """
    views: Views | None = _kept.views.get(key)
    if views is None:
        # Other modes may write there later.
        with torch.inference_mode(mode=False), torch.no_grad():
            views = make()
        _keep(key, views)
    return views


def _keep(key: Hashable, views: object) -> None:
    if len(_kept.views) >= _MOST_VIEWS:
        _kept.views.clear()
    _kept.views[key] = views


class Buffers:
    """Memory for intermediate results, by name; pieces use it one after the other.

    The system clears what it lends, which takes longer than to compute with it: a
    thread keeps its buffers for the next call, unless they are large.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        self._dtype = dtype
        self._large: dict[str, Tensor] = {}

    def __call__(self, name: str, *shape: int) -> Tensor:
        """Return an uninitialised tensor, which lies where the last of its name did."""
        key = (name, self._dtype, shape)
        view: Tensor | None = _kept.views.get(key)
        return self._view(name, shape) if view is None else view

    def _view(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """Return what :meth:`__call__` does, and keep it if its memory is kept."""
        size, key = prod(shape), (name, self._dtype)
        flat = self._large.get(name, _kept.flat.get(key))
        with torch.inference_mode(mode=False):  # other modes may write there later
            if flat is None or flat.numel() < size:
                flat = torch.empty(size, dtype=self._dtype, device="cpu")
                if size <= MOST_KEPT:
                    _kept.flat[key] = flat
                    _kept.views.clear()  # some are of the memory before
                else:
                    self._large[name] = flat
            view = flat[:size].view(shape)
        if name not in self._large:
            _keep((*key, shape), view)
        return view

    def in_one_piece(self, name: str, tensor: Tensor) -> Tensor:
        """Return a tensor, or a copy in a buffer if it does not lie in one piece."""
        if tensor.is_contiguous():
            return tensor
        return self(name, *tensor.shape).copy_(tensor)
