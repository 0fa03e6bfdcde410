"""Modules that a network refers to from elsewhere than its registered submodules.

A plain list, a bound method or a closure that holds a convolution goes on calling it
after its place among the submodules was taken by attention.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from types import CellType, FunctionType, MethodType, ModuleType

from torch import Tensor, nn


def held_modules(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield every module that an attribute of a network holds in its own way.

    Hooks are passed over: they look at modules, they do not call them.

    Args:
        model: The network.

    Yields:
        The dotted name of the attribute, and a module within reach of it through
        containers, functions and plain objects.

    Example:
        >>> model = nn.ReLU()
        >>> model.steps = [nn.Tanh()]
        >>> list(held_modules(model))
        [('steps', Tanh())]
    """
    for name, module in model.named_modules():
        for attribute, value in vars(module).items():
            if attribute != "_modules" and not attribute.endswith("_hooks"):
                place = f"{name}.{attribute}".lstrip(".")
                yield from ((place, held) for held in _reached(value))


def _reached(value: object) -> Iterator[nn.Module]:
    waiting, seen = [value], set()
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, nn.Module):
            yield value
        else:
            waiting.extend(_inside(value))


def _inside(value: object) -> Iterable[object]:
    """Return what an object refers to, as far as it could call it."""
    if isinstance(value, (str, bytes, Tensor, type, ModuleType)):
        return ()
    if isinstance(value, Mapping):
        return (*value.keys(), *value.values())
    if isinstance(value, (list, tuple, set, frozenset)):
        return value
    if isinstance(value, MethodType):
        return (value.__self__, value.__func__)
    if isinstance(value, partial):
        return (value.func, *value.args, *value.keywords.values())
    if isinstance(value, FunctionType):
        cells = (cell for cell in value.__closure__ or () if _is_filled(cell))
        return [cell.cell_contents for cell in cells]
    return getattr(value, "__dict__", {}).values()


def _is_filled(cell: CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018 - only looking raises
    except ValueError:
        return False
    return True
