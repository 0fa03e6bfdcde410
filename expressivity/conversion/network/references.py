"""Modules and tensors that a network refers to outside of its registered submodules.

A plain list, a bound method, a default argument or a closure may hold a convolution,
and would still call it after attention has replaced it among the submodules.

The search follows references as the garbage collector does: it runs nobody's property,
``__getattr__`` or ``__getitem__``, and loads nothing lazy.
"""

import dis
import gc
import weakref
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from types import CellType, CodeType, FrameType, FunctionType, ModuleType
from typing import NamedTuple, cast

from torch import Tensor, nn

MOST_OBJECTS = 1_000_000
_OPAQUE = (type, ModuleType, CodeType, FrameType)


class Reference(NamedTuple):
    """A module that something other than its parent holds.

    Attributes:
        place: The dotted name of the attribute that leads there.
        module: The module.
        shared: Whether a class owns the attribute, so that copies share it.
    """

    place: str
    module: nn.Module
    shared: bool


@dataclass
class References:
    """What the attributes of a network lead to.

    Attributes:
        modules: Modules within reach of an attribute.
        tensors: Tensors within reach of an attribute.
        unfinished: Attributes with too many objects within reach to search them all.
    """

    modules: list[Reference] = field(default_factory=list)
    tensors: list[Tensor] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)


def references(model: nn.Module, *others: nn.Module) -> References:
    """Return what the attributes of a network hold, apart from registered submodules.

    The search enters containers, functions, their closures and default arguments,
    hooks, plain objects and modules that are not registered. A module's reference to
    itself does not count. A global variable counts if a function reads it and it is a
    module.

    Args:
        model: The network.
        *others: Networks that the search does not enter.

    Returns:
        The modules and tensors.

    Example:
        >>> model = nn.ReLU()
        >>> model.steps = [nn.Tanh()]
        >>> references(model).modules
        [Reference(place='steps', module=Tanh(), shared=False)]
    """
    result = References()
    registered = {id(m) for each in (model, *others) for m in each.modules()}
    done: dict[int, object] = {}
    for place, value, shared, owner in _attributes(model):
        search = _Search(registered, done)
        met_owner = False
        for item in search.of(value):
            if isinstance(item, Tensor):
                result.tensors.append(item)
            elif item is owner:
                met_owner = True
            else:
                result.modules.append(Reference(place, item, shared))
        if search.unfinished:
            result.unfinished.append(place)
        if not met_owner:  # a reference of another attribute to the owner counts
            done |= search.visited
    return result


class Leads:
    """Whether objects lead to one of some modules, which are given by their ids."""

    def __init__(self, modules: Collection[int]) -> None:
        """Start without knowing any object."""
        self._modules = modules
        self._nowhere: dict[int, object] = {}

    def __call__(self, value: object) -> bool:
        """Return whether one of the modules is within reach of an object."""
        search = _Search(self._modules, self._nowhere)
        if any(id(item) in self._modules for item in search.of(value)):
            return True
        self._nowhere |= search.visited
        return False


def _attributes(
    model: nn.Module,
) -> Iterator[tuple[str, object, bool, nn.Module | None]]:
    """Yield name, value, whether a class owns it, and the module that does."""
    classes: dict[type, None] = {}
    for name, module in model.named_modules():
        for attribute, value in vars(module).items():
            if attribute != "_modules":
                yield f"{name}.{attribute}".lstrip("."), value, False, module
        classes |= dict.fromkeys(type(module).__mro__)
    for kind in classes:
        if kind.__module__.partition(".")[0] not in ("torch", "builtins"):
            for attribute, value in vars(kind).items():
                yield f"{kind.__qualname__}.{attribute}", value, True, None


class _Search:
    """One walk over everything within reach of an object."""

    def __init__(self, registered: Collection[int], done: Mapping[int, object]) -> None:
        """Start a walk.

        Args:
            registered: The ids of modules that it does not enter.
            done: Objects that it skips, by id.
        """
        self._registered, self._done = registered, done
        self.visited: dict[int, object] = {}
        self.unfinished = False

    def of(self, value: object) -> Iterator[nn.Module | Tensor]:
        """Yield the modules and tensors within reach, each once."""
        waiting = [value] if self._is_new(value) else []
        while waiting:
            value = waiting.pop()
            kind = type(value)  # isinstance would ask a proxy
            if issubclass(kind, Tensor):
                yield cast("Tensor", value)
                continue
            if issubclass(kind, nn.Module):
                yield cast("nn.Module", value)
                if id(value) in self._registered:
                    continue
            # The collector tracks no numbers and strings: they refer to nothing.
            waiting += filter(self._is_new, filter(gc.is_tracked, _inside(value)))

    def _is_new(self, value: object) -> bool:
        """Note an object, and return whether it is new."""
        if id(value) in self.visited or id(value) in self._done:
            return False
        if len(self.visited) >= MOST_OBJECTS:
            self.unfinished = True
            return False
        self.visited[id(value)] = value
        return True


def _inside(value: object) -> Collection[object]:
    """Return what an object refers to and might call."""
    kind = type(value)
    if issubclass(kind, _OPAQUE):
        return ()
    if kind is weakref.ref:
        return (cast("weakref.ref[object]", value)(),)
    if kind is FunctionType:  # its globals would lead to everything
        function = cast("FunctionType", value)
        return (
            function.__closure__ or (),
            function.__defaults__ or (),
            function.__kwdefaults__ or {},
            function.__dict__,
            *_global_modules(function.__code__, function.__globals__),
        )
    return gc.get_referents(value)


def _global_modules(code: CodeType, variables: dict[str, object]) -> list[object]:
    """Return the modules among the global variables that some code reads."""
    named = {
        name: variables[name]
        for name in code.co_names
        if issubclass(type(variables.get(name)), nn.Module)
    }
    if named:  # attributes are among the names
        names = {i.argval for i in dis.get_instructions(code) if "GLOBAL" in i.opname}
        named = {name: value for name, value in named.items() if name in names}
    inner = [const for const in code.co_consts if isinstance(const, CodeType)]
    return [
        *named.values(),
        *(value for each in inner for value in _global_modules(each, variables)),
    ]


def is_filled(cell: CellType) -> bool:
    """Return whether the variable of a closure has a value yet."""
    try:
        cell.cell_contents  # noqa: B018 - reading an empty cell raises
    except ValueError:
        return False
    return True
