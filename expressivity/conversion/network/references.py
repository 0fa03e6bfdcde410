"""What a network refers to from elsewhere than its registered submodules.

A plain list, a bound method, a default argument or a closure that holds a convolution
goes on calling it after its place among the submodules was taken by attention.

Objects are searched as the garbage collector searches them: no property, no
``__getattr__`` and no ``__getitem__`` of anybody runs, and nothing lazy is loaded.
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
        shared: Whether the attribute is that of a class, which no copy owns.
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
        unfinished: Attributes behind which there was too much to search it all.
    """

    modules: list[Reference] = field(default_factory=list)
    tensors: list[Tensor] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)


def references(model: nn.Module, *others: nn.Module) -> References:
    """Return what the attributes of a network hold in their own way.

    Containers, functions, their closures and default arguments, hooks, plain objects
    and modules that are not registered are searched; a module's hold on itself does not
    count. Of global variables, those count that a function reads and that are modules.

    Args:
        model: The network.
        *others: Networks that are not searched where they are met.

    Returns:
        The modules and tensors found.

    Example:
        >>> model = nn.ReLU()
        >>> model.steps = [nn.Tanh()]
        >>> references(model).modules
        [Reference(place='steps', module=Tanh(), shared=False)]
    """
    found = References()
    registered = {id(m) for each in (model, *others) for m in each.modules()}
    done: dict[int, object] = {}
    for place, value, shared, owner in _attributes(model):
        search = _Search(registered, done)
        met_owner = False
        for held in search.of(value):
            if isinstance(held, Tensor):
                found.tensors.append(held)
            elif held is owner:
                met_owner = True
            else:
                found.modules.append(Reference(place, held, shared))
        if search.unfinished:
            found.unfinished.append(place)
        if not met_owner:  # for others that hold counts
            done |= search.seen
    return found


class Leads:
    """Whether objects lead to one of some modules.

    Args:
        modules: The ids of the modules.
    """

    def __init__(self, modules: Collection[int]) -> None:
        """Start without knowing any object."""
        self._modules = modules
        self._nowhere: dict[int, object] = {}

    def __call__(self, value: object) -> bool:
        """Return whether one of the modules is within reach of an object."""
        search = _Search(self._modules, self._nowhere)
        if any(id(held) in self._modules for held in search.of(value)):
            return True
        self._nowhere |= search.seen
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
            done: Objects that it passes over, by id.
        """
        self._registered, self._done = registered, done
        self.seen: dict[int, object] = {}
        self.unfinished = False

    def of(self, value: object) -> Iterator[nn.Module | Tensor]:
        """Yield the modules and tensors within reach, each once."""
        waiting = [value] if self._is_new(value) else []
        while waiting:
            value = waiting.pop()
            kind = type(value)  # isinstance would ask a proxy what it stands for
            if issubclass(kind, Tensor):
                yield cast("Tensor", value)
                continue
            if issubclass(kind, nn.Module):
                yield cast("nn.Module", value)
                if id(value) in self._registered:
                    continue
            # What the collector does not track refers to nothing: numbers, strings.
            waiting += filter(self._is_new, filter(gc.is_tracked, _inside(value)))

    def _is_new(self, value: object) -> bool:
        """Note an object that was not met before."""
        if id(value) in self.seen or id(value) in self._done:
            return False
        if len(self.seen) >= MOST_OBJECTS:
            self.unfinished = True
            return False
        self.seen[id(value)] = value
        return True


def _inside(value: object) -> Collection[object]:
    """Return what an object refers to, as far as it could call it."""
    kind = type(value)
    if issubclass(kind, _OPAQUE):
        return ()
    if kind is weakref.ref:
        return (cast("weakref.ref[object]", value)(),)
    if kind is FunctionType:  # its globals are the whole world
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
    """Return the global variables that some code reads and that are modules."""
    named = {
        name: variables[name]
        for name in code.co_names
        if issubclass(type(variables.get(name)), nn.Module)
    }
    if named:  # attributes are among the names
        read = {i.argval for i in dis.get_instructions(code) if "GLOBAL" in i.opname}
        named = {name: value for name, value in named.items() if name in read}
    inner = [const for const in code.co_consts if isinstance(const, CodeType)]
    return [
        *named.values(),
        *(value for each in inner for value in _global_modules(each, variables)),
    ]


def is_filled(cell: CellType) -> bool:
    """Return whether the variable of a closure has a value yet.

    Args:
        cell: The variable.

    Returns:
        Whether reading it succeeds.
    """
    try:
        cell.cell_contents  # noqa: B018 - only looking raises
    except ValueError:
        return False
    return True
