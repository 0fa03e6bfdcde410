"""A copy of a network that shares nothing with it, functions included.

A deep copy shares functions with the original, and with them the modules that their
closures and default arguments refer to: such a copy would still call the original. Here
functions that lead to a module of the network are copied too.
"""

import copy
import weakref
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator
from functools import partial
from types import CellType, FunctionType, MemberDescriptorType, MethodType
from typing import Any, TypeVar, cast

from torch import Tensor, nn

from expressivity.conversion.network.references import Leads, is_filled, references
from expressivity.errors import UnsupportedModuleError

Value = TypeVar("Value")

_MAPPINGS = (dict, OrderedDict, defaultdict)
_SEQUENCES = (list, deque)


def independent_copy(model: nn.Module) -> nn.Module:
    """Return a copy of a network that does not call the network.

    Args:
        model: The network.

    Returns:
        A deep copy whose functions lead to its own modules.

    Raises:
        UnsupportedModuleError: If the model is no module, cannot be copied, or was
            compiled.
    """
    if not isinstance(model, nn.Module):
        raise UnsupportedModuleError(
            f"convert needs an nn.Module, got {type(model).__name__}"
        )
    if any(hasattr(module, "_orig_mod") for module in model.modules()):
        raise UnsupportedModuleError(
            "the model was compiled by torch.compile: convert the original "
            "(model._orig_mod) and compile the result"
        )
    # Tensors that are results have no deep copy: stored activations, or a weight that
    # old weight normalisation recomputes before use.
    memo: dict[int, Any] = {
        id(tensor): tensor.detach().clone()
        for tensor in references(model).tensors
        if not tensor.is_leaf
    }
    try:
        copied = copy.deepcopy(model, memo)
    except Exception as error:
        raise UnsupportedModuleError(
            f"the model cannot be copied ({type(error).__name__}: {error}); convert "
            "needs a copy to leave the given model untouched"
        ) from error
    originals = {id(module) for module in model.modules()}
    _Rebinding(memo, originals).of(copied)
    return copied


class _Rebinding:
    """Let the functions that a copied network holds lead to the copy."""

    def __init__(self, memo: dict[int, Any], originals: set[int]) -> None:
        """Start from a deep copy.

        Args:
            memo: The copies that the deep copy made, by the id of the original.
            originals: The ids of the modules of the original.
        """
        self._memo = memo
        self._originals = originals
        self._leads = Leads(originals)
        self._owned = {id(value) for value in memo.values()}
        self._done: dict[int, tuple[object, object]] = {}
        self._cells: dict[int, CellType] = {}
        self._immutable: dict[type, Callable[[Any], object]] = {
            FunctionType: self._function,
            MethodType: self._method,
            partial: self._partial,
            tuple: self._tuple,
            weakref.ref: self._weak,
        }

    def of(self, value: object) -> object:
        """Return the replacement of a value; containers change in place."""
        if id(value) not in self._done:
            self._done[id(value)] = value, value  # a value may lead to itself
            self._done[id(value)] = value, self._renewed(value)
        return self._done[id(value)][1]

    def _renewed(self, value: object) -> object:
        kind = type(value)  # isinstance would ask a proxy
        if kind in self._immutable:
            return self._immutable[kind](value)
        if id(value) in self._owned:
            self._change(value, kind)
        return value

    def _weak(self, value: weakref.ref[object]) -> object:
        target = value()
        if id(target) not in self._originals:
            return value
        return weakref.ref(self._memo[id(target)])

    def _method(self, value: MethodType) -> object:
        return self._rebuilt(value, (value.__func__, value.__self__), MethodType)

    def _partial(self, value: partial[object]) -> object:
        names, count = list(value.keywords), len(value.args)

        def build(func: Callable[..., object], *rest: object) -> object:
            named = dict(zip(names, rest[count:], strict=True))
            return partial(func, *rest[:count], **named)

        parts = (value.func, *value.args, *value.keywords.values())
        return self._rebuilt(value, parts, build)

    def _tuple(self, value: tuple[object, ...]) -> object:
        return self._rebuilt(value, value, lambda *items: items)

    def _rebuilt(
        self, value: object, parts: tuple[Any, ...], build: Callable[..., object]
    ) -> object:
        """Return an immutable object built from its new parts, if any is new."""
        new = [self.of(part) for part in parts]
        same = all(a is b for a, b in zip(parts, new, strict=True))
        return value if same else build(*new)

    def _change(self, value: object, kind: type) -> None:
        """Replace the values that an object of the copy holds."""
        if kind in _MAPPINGS:
            self._fields(cast("dict[Any, object]", value))
        elif kind in _SEQUENCES:
            items = cast("list[object]", value)
            for index, item in enumerate(items):
                items[index] = self.of(item)
        elif not issubclass(kind, (Tensor, type)):
            self._fields(_own_dict(value))
            for slot in _slots(kind):
                try:
                    item = slot.__get__(value)
                except AttributeError:  # an empty slot
                    continue
                slot.__set__(value, self.of(item))

    def _fields(self, fields: dict[Any, object]) -> None:
        for key, item in list(dict.items(fields)):
            dict.__setitem__(fields, key, self.of(item))

    def _function(self, function: FunctionType) -> FunctionType:
        """Return a function that leads to the copy, or itself if it leads nowhere."""
        if not self._leads(function):
            return function
        old = function.__closure__ or ()
        filled = []
        for cell in old:
            if id(cell) not in self._cells:
                leads = is_filled(cell) and self._leads(cell)
                self._cells[id(cell)] = CellType() if leads else cell
                filled += [cell] if leads else []
        new = FunctionType(
            function.__code__,
            function.__globals__,
            function.__name__,
            closure=tuple(self._cells[id(cell)] for cell in old),
        )
        self._done[id(function)] = function, new  # a function may refer to itself
        for cell in filled:
            self._cells[id(cell)].cell_contents = self._adopted(cell.cell_contents)
        new.__defaults__ = self._adopted(function.__defaults__)
        new.__kwdefaults__ = self._adopted(function.__kwdefaults__)
        new.__dict__.update(self._adopted(function.__dict__))
        new.__annotations__, new.__doc__ = function.__annotations__, function.__doc__
        new.__module__, new.__qualname__ = function.__module__, function.__qualname__
        return new

    def _adopted(self, value: Value) -> Value:
        """Return the copy's own version of a value in a function of the original."""
        if not self._leads(value):
            return value
        try:
            copied = copy.deepcopy(value, self._memo)
        except Exception:  # references() then reports that it leads to the original
            return value
        self._owned = {id(each) for each in self._memo.values()}
        return cast("Value", self.of(copied))


def _own_dict(value: object) -> dict[Any, object]:
    """Return the attributes of an object without asking the object."""
    try:
        fields = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return {}
    return fields if type(fields) is dict else {}


def _slots(kind: type) -> Iterator[MemberDescriptorType]:
    """Yield the slots that a class and its bases declare."""
    for base in kind.__mro__:
        if "__slots__" in vars(base):
            for member in vars(base).values():
                if isinstance(member, MemberDescriptorType):
                    yield member
