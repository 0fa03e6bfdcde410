"""Results that follow from parameters, valid until one of them changes.

On a CPU the numbers of a tensor are compared with a copy, bit by bit, on every call.
This notices every writer: an optimiser through ``.data``, an array that shares the
memory, another process. Reading a GPU would wait for all that it has yet to compute.
There a tensor counts as unchanged while it is the same memory and torch has counted no
write into it. Torch does not count a write through ``.data``. Optimisers that write so
come after a forward pass that records gradients, and such a pass makes a :class:`Memo`
forget.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeVar

import torch
from torch import Tensor

from expressivity.machine.recording import are_recorded, is_traced

Value = TypeVar("Value")

_MOST = 16
# Whole words compare fastest; and as integers, NaN equals itself.
_WORD = 8
_INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


class _Witness(Protocol):
    """What a memo remembers of a tensor, to tell whether it has changed."""

    @property
    def pointer(self) -> int:
        """Where the tensor's memory was."""

    def knows(self, tensor: Tensor) -> bool:
        """Whether a tensor is what the remembered one was."""


@dataclass(frozen=True)
class _Copy:
    """The numbers themselves."""

    pointer: int
    copy: Tensor

    def knows(self, tensor: Tensor) -> bool:
        """Whether a tensor holds these numbers."""
        copy = self.copy
        if (tensor.dtype, tensor.shape) != (copy.dtype, copy.shape):
            return False
        width = min(_word(tensor), _word(copy))
        return torch.equal(_integers(tensor, width), _integers(copy, width))


@dataclass(frozen=True)
class _Version:
    """The count of writes that torch keeps with the memory."""

    pointer: int
    about: tuple[object, ...]
    count: int
    # It keeps its memory, which no later tensor can then receive.
    tensor: Tensor

    def knows(self, tensor: Tensor) -> bool:
        """Whether a tensor is this memory, with no write counted since."""
        # Another tensor may share the memory, with a count of its own.
        return (
            (tensor.data_ptr(), _about(tensor)) == (self.pointer, self.about)
            and tensor._version == self.count
            and self.tensor._version == self.count
        )


@dataclass(frozen=True)
class _Entry:
    context: Hashable
    witnesses: tuple[_Witness, ...]
    value: Any

    def knows(self, sources: Sequence[Tensor]) -> bool:
        """Whether the value was computed from these tensors."""
        return len(sources) == len(self.witnesses) and all(
            witness.knows(source)
            for witness, source in zip(self.witnesses, sources, strict=True)
        )


class Memo:
    """A small cache of what one layer has computed from its parameters.

    An entry is valid while its tensors are what they were: on a CPU, bit by bit;
    elsewhere, the same memory without a counted write. Where autograd records one of
    them, the memo computes the result anew and forgets all that follows from that
    tensor: a step of an optimiser comes next. A copied or unpickled layer starts with
    an empty memo.

    Attributes:
        repetition: How the layer evaluated its last input, if it may do so again.

    Example:
        >>> memo, weight = Memo(), torch.ones(2)
        >>> total = lambda: memo.get("total", [weight], lambda: weight.sum().item())
        >>> total(), weight.data.mul_(3).sum().item(), total()
        (2.0, 6.0, 6.0)
    """

    def __init__(self) -> None:
        """Start with nothing."""
        self._entries: dict[Hashable, _Entry] = {}
        self.repetition: object | None = None

    def get(
        self,
        key: Hashable,
        sources: Sequence[Tensor],
        compute: Callable[[], Value],
        *,
        context: Hashable = None,
        differentiable: bool = False,
    ) -> Value:
        """Return a result that follows from tensors: an earlier one if it is valid.

        Args:
            key: The name of the result; the memo has one result for each.
            sources: The tensors that it depends on.
            compute: Computes it, without recording gradients.
            context: What else it depends on; the memo forgets a result for another.
            differentiable: Whether derivatives with respect to the sources go through
                the result; autograd then records ``compute`` where it records sources.

        Returns:
            The result, which the caller must not change.
        """
        if is_traced():  # a memo must not keep tensors of a tracer
            return compute()
        if sources and are_recorded(sources):
            self._forget({p for p in map(_pointer, sources) if p is not None})
            if differentiable:
                return compute()
            with torch.no_grad():
                return compute()
        if None in map(_pointer, sources):
            return compute()
        entry = self._entries.get(key)
        if entry is not None and entry.context == context:
            if entry.knows(sources):
                return entry.value  # type: ignore[no-any-return]
            self._forget({witness.pointer for witness in entry.witnesses})
        witnesses = self._known(sources) or _witnesses(sources)
        if witnesses is None:
            return compute()
        # Autograd refuses tensors that inference mode has made.
        with torch.inference_mode(mode=False), torch.no_grad():
            value = compute()
        witnesses = self._known(sources) or witnesses  # of a step on the way
        self._entries.pop(key, None)
        for oldest in tuple(self._entries)[: 1 - _MOST]:  # other threads may add some
            self._entries.pop(oldest, None)
        self._entries[key] = _Entry(context, witnesses, value)
        return value

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self.repetition = None

    def _forget(self, pointers: set[int]) -> None:
        """Drop what follows from some memory."""
        for key, entry in tuple(self._entries.items()):
            if not pointers.isdisjoint(w.pointer for w in entry.witnesses):
                self._entries.pop(key, None)

    def _known(self, sources: Sequence[Tensor]) -> tuple[_Witness, ...]:
        """Return the witnesses of another result of these tensors: one copy serves."""
        entries = tuple(self._entries.values())
        return next((e.witnesses for e in entries if e.knows(sources)), ())

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return type(self)()

    def __reduce__(self) -> tuple[type[Self], tuple[()]]:
        return type(self), ()


def _pointer(tensor: Tensor) -> int | None:
    """Return where a tensor's memory is; ``None`` if it has none (meta, vmap)."""
    if tensor.is_meta:
        return None
    try:
        return tensor.data_ptr()
    except RuntimeError:
        return None


def _witnesses(sources: Sequence[Tensor]) -> tuple[_Witness, ...] | None:
    """Return a witness of each tensor; ``None`` if some tensor has none."""
    witnesses = [w for w in map(_witness, sources) if w is not None]
    return tuple(witnesses) if len(witnesses) == len(sources) else None


def _witness(tensor: Tensor) -> _Witness | None:
    """Return what notices a change of a tensor; ``None`` if nothing can."""
    pointer = tensor.data_ptr()
    if is_at_hand(tensor):
        return _Copy(pointer, tensor.detach().clone())
    try:
        return _Version(pointer, _about(tensor), tensor._version, tensor.detach())
    except RuntimeError:  # torch counts no writes in inference mode
        return None


def is_at_hand(tensor: Tensor) -> bool:
    """Return whether a tensor lives on the CPU: reading it waits for no device."""
    return tensor.is_cpu


def _about(tensor: Tensor) -> tuple[object, ...]:
    return tensor.dtype, tensor.device, tensor.shape, tensor.stride()


def _word(tensor: Tensor) -> int:
    """Return the bytes of the widest integers that a tensor can be read as."""
    size = tensor.element_size()
    whole = tensor.numel() * size % _WORD == 0 == tensor.storage_offset() * size % _WORD
    return _WORD if whole and tensor.is_contiguous() else size


def _integers(tensor: Tensor, width: int) -> Tensor:
    """Return the bits of a tensor as integers."""
    plain, size = tensor.detach(), tensor.element_size()
    if width > size:
        plain = plain.view(-1)
    return plain.view(_INTEGERS[width]) if width in _INTEGERS else plain
