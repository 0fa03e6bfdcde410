"""Memory for intermediate results, which a thread uses again."""

import threading
from math import prod

import torch
from torch import Tensor

# Numbers of a buffer that is kept, at most: 16 MiB in float32.
MOST_KEPT = 2**22


class _Kept(threading.local):
    """Memory that this thread has used before, by name and dtype."""

    def __init__(self) -> None:
        self.flat: dict[tuple[str, torch.dtype], Tensor] = {}


_kept = _Kept()


class Buffers:
    """Memory for intermediate results, by name; pieces use it one after the other.

    The system clears what it lends, which takes longer than to compute with it: a
    thread keeps its buffers for the next call, unless they are large.
    """

    def __init__(self, like: Tensor) -> None:
        self._like = like
        self._large: dict[str, Tensor] = {}

    def __call__(self, name: str, *shape: int) -> Tensor:
        """Return an uninitialised tensor, which lies where the last of its name did."""
        size, key = prod(shape), (name, self._like.dtype)
        flat = self._large.get(name, _kept.flat.get(key))
        if flat is None or flat.numel() < size:
            with torch.inference_mode(mode=False):  # other modes may write there later
                flat = torch.empty(size, dtype=self._like.dtype, device="cpu")
            if size <= MOST_KEPT:
                _kept.flat[key] = flat
            else:
                self._large[name] = flat
        return flat[:size].view(shape)

    def in_one_piece(self, name: str, tensor: Tensor) -> Tensor:
        """Return a tensor, or a copy in a buffer if it does not lie in one piece."""
        if tensor.is_contiguous():
            return tensor
        return self(name, *tensor.shape).copy_(tensor)
