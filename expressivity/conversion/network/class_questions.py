"""Which attention layers running code asks whether they are convolutions.

``isinstance(layer, nn.Conv2d)`` was true before the conversion. Code that asks that in
the middle of its work may do something else for attention, without any error.
"""

import sys
from collections.abc import Callable, Iterator
from types import CodeType, FrameType
from typing import Any

from torch import nn


def watch_class(layer: nn.Module, was: nn.Module, note: Callable[[str], None]) -> None:
    """Note when somebody asks a layer whether it is of the class that it replaced.

    ``isinstance`` and comparisons of ``layer.__class__`` are seen, ``type(layer)`` is
    not. The layer has to be a copy that nobody else uses: it is of another class then.

    Args:
        layer: An attention layer.
        was: The convolution that it replaced.
        note: Is given the name of the code that asks.

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
    asked_for = [base for base in type(was).__mro__ if base not in kind.__mro__]

    def answer(caller: FrameType) -> type[nn.Module]:
        if _names_any(caller, asked_for):
            note(_described(caller.f_code))
        return kind

    # One frame below the lambda is the code that asks.
    asked = property(lambda _: answer(sys._getframe(1)))
    observed = type(kind.__name__, (kind,), {"__class__": asked})
    object.__setattr__(layer, "__class__", observed)


def _names_any(frame: FrameType, kinds: list[type]) -> bool:
    """Return whether code that is running names a class, or holds it in a variable."""
    names = {kind.__name__ for kind in kinds}
    if not names.isdisjoint(frame.f_code.co_names):
        return True
    return any(value is kind for value in _values(frame) for kind in kinds)


def _values(frame: FrameType) -> Iterator[Any]:
    """Yield what the names of a frame stand for, and the members of their tuples."""
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
