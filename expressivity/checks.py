"""What public functions require of an argument, and how they say so.

Each check takes the name of an option and its value. It returns the value in the type
that it promises, or raises an error with the name, the requirement and what came: an
``InputError`` about tensors and sizes, an ``UnsupportedModuleError`` about modules, an
``ArgumentError`` about all else.
"""

import math
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any, SupportsFloat, SupportsIndex, TypeVar

import torch
from torch import Tensor, nn

from expressivity.errors import ArgumentError, InputError, UnsupportedModuleError

Kind = TypeVar("Kind")
Progress = Callable[[Iterable[Any]], Iterable[Any]]

# torch counts pixels and channels in so many bits, one of them a sign.
_BITS = 64
_LARGEST = 2 ** (_BITS - 1) - 1
_SHOWN = 80


def shown(value: object) -> str:
    """Return what a message shows of an argument: the kind, or Python's first words."""
    if isinstance(value, Tensor):
        layout = "" if value.layout == torch.strided else f" ({value.layout})"
        where = "" if value.is_nested else f" of shape {tuple(value.shape)}"
        return f"a tensor{where} in {value.dtype}{layout}"
    if isinstance(value, type):
        return f"the class {value.__name__}: an instance is needed"
    if isinstance(value, nn.Module):
        return f"a module of type {type(value).__name__}"
    if isinstance(value, int) and value.bit_length() > _BITS:
        return f"an integer of {value.bit_length()} bits"
    if isinstance(value, (int, float)):
        return repr(value)
    text = repr(value)
    text = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    return text if isinstance(value, str) else f"{text} ({type(value).__name__})"


def check_instance(name: str, value: object, kind: type[Kind], advice: str) -> Kind:
    """Return an instance of a class; ``advice`` says what to do about another."""
    if isinstance(value, kind):
        return value
    modules = issubclass(kind, nn.Module)
    error = UnsupportedModuleError if modules else ArgumentError
    raise error(f"{name} needs a {kind.__name__}, got {shown(value)}. {advice}")


def check_tensor(name: str, value: object) -> Tensor:
    """Return a dense tensor of real floating-point numbers."""
    if isinstance(value, Tensor) and is_dense(value) and value.is_floating_point():
        return value
    raise InputError(
        f"{name} needs a dense tensor of floating-point numbers, got {shown(value)}: "
        "convert it, with torch.as_tensor, to_dense or float"
    )


def is_dense(tensor: Tensor) -> bool:
    """Return whether a tensor is neither sparse nor nested."""
    return not tensor.is_nested and tensor.layout == torch.strided


def check_numbers(name: str, value: object) -> Tensor:
    """Return a tensor, as :func:`check_tensor`, that is not on the meta device."""
    tensor = check_tensor(name, value)
    if tensor.is_meta:
        raise InputError(
            f"{name} needs numbers, got a tensor on the meta device, which holds none: "
            "make it on another device"
        )
    return tensor


def check_integer(
    name: str, value: object, least: int = 1, most: int = _LARGEST
) -> int:
    """Return an ``int`` from ``least`` to ``most``; no truth value."""
    number = _integer(value)
    if number is None or not least <= number <= most:
        end = "" if most == _LARGEST else f" and at most {most}"
        raise ArgumentError(
            f"{name} needs an integer of at least {least}{end}, got {shown(value)}"
        )
    return number


def check_positive(name: str, value: object) -> float:
    """Return a positive finite number as a float."""
    number = _number(value)
    if not 0 < number < math.inf:
        raise ArgumentError(
            f"{name} needs a positive finite number, got {shown(value)}"
        )
    return number


def check_finite(name: str, value: object) -> float:
    """Return a finite number of any sign as a float."""
    number = _number(value)
    if not math.isfinite(number):
        raise ArgumentError(f"{name} needs a finite number, got {shown(value)}")
    return number


def check_size(
    name: str,
    value: object,
    axes: int | None = None,
    least: int = 1,
    most: int = _LARGEST,
) -> tuple[int, ...]:
    """Return a sequence of integers from ``least`` to ``most``, so many as ``axes``."""
    entries = integers(value)
    fits = entries and all(least <= entry <= most for entry in entries)
    if entries is None or not fits or len(entries) != (axes or len(entries)):
        count = "one integer an axis" if axes is None else f"{axes} integers"
        raise InputError(
            f"{name} needs {count}, each at least {least} and below 2^63, got "
            f"{shown(value)}"
        )
    return entries


def check_per_axis(
    name: str, value: int | Sequence[int], axes: int | None = None
) -> tuple[int, ...]:
    """Return one integer per axis; one number stands for all if ``axes`` is given."""
    entries = integers(value) or (integers([value]) or ()) * (axes or 0)
    if entries:
        return entries
    needed = "one integer per axis" + (", or one for all" if axes else "")
    raise ArgumentError(f"{name} needs {needed}, got {shown(value)}")


def check_choice(name: str, value: object, choices: Iterable[str]) -> str:
    """Return one of some words."""
    words = tuple(choices)
    if isinstance(value, str) and value in words:
        return value
    raise ArgumentError(f"{name} needs one of {words}, got {shown(value)}")


def check_flag(name: str, value: object) -> bool:
    """Return ``True`` or ``False``."""
    if isinstance(value, bool):
        return value
    raise ArgumentError(f"{name} needs True or False, got {shown(value)}")


def check_dtype(name: str, value: object) -> torch.dtype:
    """Return a real floating-point dtype."""
    if isinstance(value, torch.dtype) and value.is_floating_point:
        return value
    raise ArgumentError(
        f"{name} needs a floating-point dtype such as torch.float32, got {shown(value)}"
    )


def check_device(name: str, value: object) -> torch.device:
    """Return the device that is given or named."""
    try:
        if isinstance(value, (str, torch.device)):
            return torch.device(value)
    except RuntimeError as error:
        raise ArgumentError(
            f"{name} needs a device such as 'cpu' or 'cuda:0', got {value!r}"
        ) from error
    raise ArgumentError(
        f"{name} needs a device such as 'cpu' or 'cuda:0', got {shown(value)}"
    )


def check_callable(name: str, value: object) -> None:
    """Refuse what cannot be called, a class and a module."""
    if not callable(value) or isinstance(value, (type, nn.Module)):
        raise ArgumentError(f"{name} needs a function, got {shown(value)}")


def check_progress(progress: Progress | None) -> Progress:
    """Return what wraps an iterable, as ``tqdm`` does: for ``None`` nothing to see."""
    if progress is None:
        return iter
    # A class will do whose instances can be iterated, as tqdm's.
    wraps = callable(progress) and not isinstance(progress, nn.Module)
    if not wraps or (isinstance(progress, type) and not hasattr(progress, "__iter__")):
        raise ArgumentError(
            "progress needs a function that takes an iterable and returns one, such as "
            f"tqdm, got {shown(progress)}"
        )
    return progress


def integers(value: object) -> tuple[int, ...] | None:
    """Return a sequence as integers; ``None`` if it is no such sequence."""
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        return None
    entries = [_integer(entry) for entry in value]
    return tuple(e for e in entries if e is not None) if None not in entries else None


def _number(value: object) -> float:
    """Return a number as a float; NaN for what is none."""
    if not isinstance(value, SupportsFloat) or isinstance(value, bool):
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return math.nan


def _integer(value: object) -> int | None:
    """Return an integer of Python, numpy or torch as one of Python."""
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        return None
    try:
        return operator.index(value)
    except (TypeError, ValueError, RuntimeError):
        return None
