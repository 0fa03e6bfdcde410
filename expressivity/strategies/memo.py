"""Results that follow from parameters, kept until one of them changes."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import torch
from torch import Tensor

Value = TypeVar("Value")
Stamp = tuple[tuple[object, ...], ...]

_MOST = 16


@dataclass(frozen=True)
class _Kept:
    given: Hashable
    stamp: Stamp
    # Their memory is held, so that no later tensor can be mistaken for them.
    sources: tuple[Tensor, ...]
    value: Any

    def is_of(self, stamp: Stamp, given: Hashable) -> bool:
        """Whether the value was computed from this, and that has not changed since."""
        # Another tensor may share the memory, with a count of versions of its own.
        return (
            self.given == given
            and self.stamp == stamp
            and all(
                source._version == about[1]
                for source, about in zip(self.sources, stamp, strict=True)
            )
        )


class Memo:
    """A small cache of what one layer has computed from its parameters.

    An entry is as good as the tensors that it was computed from: it is used again
    only while they are the same memory, at the same version, of the same dtype and
    on the same device. Assigning, loading, moving and optimising parameters all
    change that; writing through ``parameter.data`` does not, here as in autograd.
    A copied or unpickled layer starts with an empty one.

    Example:
        >>> memo, weight = Memo(), torch.ones(2)
        >>> total = lambda: memo.get("total", [weight], lambda: weight.sum().item())
        >>> total(), weight.mul_(3).sum().item(), total()
        (2.0, 6.0, 6.0)
    """

    def __init__(self) -> None:
        """Start with nothing."""
        self._kept: dict[Hashable, _Kept] = {}

    def get(
        self,
        key: Hashable,
        sources: Sequence[Tensor],
        compute: Callable[[], Value],
        *,
        given: Hashable = None,
    ) -> Value:
        """Return what was computed from these tensors, or compute it.

        Args:
            key: What is computed; one result is kept for each.
            sources: The tensors it depends on.
            compute: Called without arguments, and without recording gradients.
            given: What else it depends on; a result for another is forgotten.

        Returns:
            The result; never to be changed.
        """
        if torch.compiler.is_compiling():  # tensors of a tracer are not kept
            return compute()
        stamp = _stamp(sources)
        if stamp is None:
            return compute()
        kept = self._kept.get(key)
        if kept is not None and kept.is_of(stamp, given):
            return kept.value  # type: ignore[no-any-return]
        # What is made in inference mode could not be used for training later.
        with torch.inference_mode(mode=False), torch.no_grad():
            value = compute()
        self._kept.pop(key, None)
        for oldest in tuple(self._kept)[: 1 - _MOST]:  # other threads may add some
            self._kept.pop(oldest, None)
        held = tuple(source.detach() for source in sources)
        self._kept[key] = _Kept(given, stamp, held, value)
        return value

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return type(self)()

    def __reduce__(self) -> tuple[type[Self], tuple[()]]:
        return type(self), ()


def _stamp(sources: Sequence[Tensor]) -> Stamp | None:
    """Return what changes when a tensor does; ``None`` if it cannot be told."""
    try:
        return tuple(
            (t.data_ptr(), t._version, t.dtype, t.device, t.shape, t.stride())
            for t in sources
        )
    except RuntimeError:  # no memory of its own (vmap), or made in inference mode
        return None
