"""Notice when running code asks an attention layer whether it is a convolution.

``isinstance(layer, nn.Conv2d)`` was true before the conversion. Code that asks this
while the network runs may treat attention differently, without any error.
"""

import sys
from collections.abc import Callable, Iterator
from types import CodeType, FrameType
from typing import Any

from torch import nn


def watch_class(
    layer: nn.Module, replaced: nn.Module, note: Callable[[str], None]
) -> None:
    """Note the code that asks a layer whether it is of the class that it replaced.

    This notices ``isinstance`` and comparisons of ``layer.__class__``, but not
    ``type(layer)``. It changes the class of the layer, which must be a copy that nobody
    else uses.

    Args:
        layer: An attention layer.
        replaced: The convolution that it replaced.
        note: Receives the name of the code that asks.

    Example:
        >>> layer, notes = nn.Linear(1, 1), []
        >>> watch_class(layer, nn.Conv2d(1, 1, 1), notes.append)
        >>> def bias(layer):
        ...     return 0 if isinstance(layer, nn.Conv2d) else 1
        >>> isinstance(layer, nn.Linear), isinstance(layer, nn.Module), bias(layer)
        (True, True, 1)
        >>> notes
        ['bias']
    """
    kind: type[nn.Module] = type(layer)
    lost = [base for base in type(replaced).__mro__ if base not in kind.__mro__]

    def answer(caller: FrameType) -> type[nn.Module]:
        if _names_any(caller, lost):
            note(_described(caller.f_code))
        return kind

    # The caller of the lambda is the code that asks.
    question = property(lambda _: answer(sys._getframe(1)))
    watchful = type(kind.__name__, (kind,), {"__class__": question})
    object.__setattr__(layer, "__class__", watchful)


def _names_any(frame: FrameType, kinds: list[type]) -> bool:
    """Return whether running code names a class, or a variable of it holds one."""
    names = {kind.__name__ for kind in kinds}
    if not names.isdisjoint(frame.f_code.co_names):
        return True
    return any(value is kind for value in _values(frame) for kind in kinds)


def _values(frame: FrameType) -> Iterator[Any]:
    """Yield the values of the names in a frame, and the members of tuples."""
    for name in frame.f_code.co_names:
        yield from _members(frame.f_globals.get(name))
    for value in frame.f_locals.values():
        yield from _members(value)


def _members(value: object) -> Iterator[object]:
    yield value
    if type(value) in (tuple, list, set, frozenset):
        yield from value  # type: ignore[misc]


def _described(code: CodeType) -> str:
    return getattr(code, "co_qualname", code.co_name).replace("<locals>.", "")
