"""What public functions require of an argument, and how they say so.

Each check returns the argument in the type that it promises, or raises one of the
package's errors that names the option, the requirement and what came.
"""

import math
import operator
from collections.abc import Iterable, Sequence
from typing import SupportsFloat, SupportsIndex, TypeVar

import torch
from torch import Tensor, nn

from expressivity.errors import ArgumentError, InputError, UnsupportedModuleError

Kind = TypeVar("Kind")

# torch counts pixels and channels in so many bits, one of them a sign.
_BITS = 64
_LARGEST = 2 ** (_BITS - 1) - 1
_SHOWN = 80


def shown(value: object) -> str:
    """Return how a message shows an argument.

    Args:
        value: Anything.

    Returns:
        The shape and dtype of a tensor, the name of a class, the type of a module;
        else the beginning of what Python shows.
    """
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
    """Return an argument if it is of a class.

    Args:
        name: The option's name.
        value: Its value.
        kind: The class.
        advice: What to do, for the message.

    Returns:
        The same object.

    Raises:
        UnsupportedModuleError: If the class is one of modules and this is none of it.
        ArgumentError: If another class is needed.
    """
    if isinstance(value, kind):
        return value
    modules = issubclass(kind, nn.Module)
    error = UnsupportedModuleError if modules else ArgumentError
    raise error(f"{name} needs a {kind.__name__}, got {shown(value)}. {advice}")


def check_tensor(name: str, value: object) -> Tensor:
    """Return an argument if it is a dense tensor of real floating-point numbers.

    Args:
        name: The option's name.
        value: Its value.

    Returns:
        The same tensor.

    Raises:
        InputError: If it is anything else: an array, a sparse or a nested tensor,
            integers, complex numbers.
    """
    if isinstance(value, Tensor) and is_dense(value) and value.is_floating_point():
        return value
    raise InputError(
        f"{name} needs a dense tensor of floating-point numbers, got {shown(value)}: "
        "convert it, with torch.as_tensor, to_dense or float"
    )


def is_dense(tensor: Tensor) -> bool:
    """Return whether a tensor is neither sparse nor nested.

    Args:
        tensor: Any tensor.

    Returns:
        Whether it has strides.
    """
    return not tensor.is_nested and tensor.layout == torch.strided


def check_numbers(name: str, value: object) -> Tensor:
    """Return a tensor, as :func:`check_tensor`, that has numbers to look at.

    Args:
        name: The option's name.
        value: Its value.

    Returns:
        The same tensor.

    Raises:
        InputError: If it is none, or on the meta device.
    """
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
    """Return an argument if it is an integer.

    Args:
        name: The option's name.
        value: Its value.
        least: The smallest that suits.
        most: The largest that suits.

    Returns:
        It as an ``int``.

    Raises:
        ArgumentError: If it is anything else, a truth value too, is smaller, or has
            more than 64 bits.
    """
    number = _integer(value)
    if number is None or not least <= number <= most:
        end = "" if most == _LARGEST else f" and at most {most}"
        raise ArgumentError(
            f"{name} needs an integer of at least {least}{end}, got {shown(value)}"
        )
    return number


def check_positive(name: str, value: object) -> float:
    """Return an option if it is a positive finite number.

    Args:
        name: The option's name, for the message.
        value: Its value.

    Returns:
        The same number, as a float.

    Raises:
        ArgumentError: If it is zero, negative, NaN, infinite or no number.
    """
    number = math.nan
    if isinstance(value, SupportsFloat) and not isinstance(value, bool):
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError, RuntimeError):
            number = math.nan
    if not 0 < number < math.inf:
        raise ArgumentError(
            f"{name} needs a positive finite number, got {shown(value)}"
        )
    return number


def check_size(
    name: str,
    value: object,
    axes: int | None = None,
    least: int = 1,
    most: int = _LARGEST,
) -> tuple[int, ...]:
    """Return an argument if it is a sequence of integers.

    Args:
        name: The option's name.
        value: Its value.
        axes: How many there need to be; by default any number.
        least: The smallest that suits.
        most: The largest that suits.

    Returns:
        The integers.

    Raises:
        InputError: If it is anything else.
    """
    entries = integers(value)
    fits = entries and all(least <= entry <= most for entry in entries)
    if entries is None or not fits or len(entries) != (axes or len(entries)):
        count = "one integer an axis" if axes is None else f"{axes} integers"
        raise InputError(
            f"{name} needs {count}, each at least {least} and below 2^63, got "
            f"{shown(value)}"
        )
    return entries


def check_choice(name: str, value: object, choices: Iterable[str]) -> str:
    """Return an argument if it is one of some words.

    Args:
        name: The option's name.
        value: Its value.
        choices: The words.

    Returns:
        The word.

    Raises:
        ArgumentError: If it is anything else.
    """
    words = tuple(choices)
    if isinstance(value, str) and value in words:
        return value
    raise ArgumentError(f"{name} needs one of {words}, got {shown(value)}")


def check_flag(name: str, value: object) -> bool:
    """Return an argument if it is ``True`` or ``False``.

    Args:
        name: The option's name.
        value: Its value.

    Returns:
        The same.

    Raises:
        ArgumentError: If it is anything else.
    """
    if isinstance(value, bool):
        return value
    raise ArgumentError(f"{name} needs True or False, got {shown(value)}")


def check_dtype(name: str, value: object) -> torch.dtype:
    """Return an argument if it is a real floating-point dtype.

    Args:
        name: The option's name.
        value: Its value.

    Returns:
        The same.

    Raises:
        ArgumentError: If it is anything else.
    """
    if isinstance(value, torch.dtype) and value.is_floating_point:
        return value
    raise ArgumentError(
        f"{name} needs a floating-point dtype such as torch.float32, got {shown(value)}"
    )


def check_device(name: str, value: object) -> torch.device:
    """Return an argument if it names a device.

    Args:
        name: The option's name.
        value: Its value.

    Returns:
        The device.

    Raises:
        ArgumentError: If it is neither a device nor the name of one.
    """
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
    """Refuse an argument that cannot be called, or is a class or a module.

    Args:
        name: The option's name.
        value: Its value.

    Raises:
        ArgumentError: If it is no function.
    """
    if not callable(value) or isinstance(value, (type, nn.Module)):
        raise ArgumentError(f"{name} needs a function, got {shown(value)}")


def integers(value: object) -> tuple[int, ...] | None:
    """Return a sequence as integers; ``None`` if it is no such sequence.

    Args:
        value: Anything.

    Returns:
        The integers.
    """
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        return None
    entries = [_integer(entry) for entry in value]
    return tuple(e for e in entries if e is not None) if None not in entries else None


def _integer(value: object) -> int | None:
    """Return an integer of Python, numpy or torch as one of Python."""
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        return None
    try:
        return operator.index(value)
    except (TypeError, ValueError, RuntimeError):
        return None
