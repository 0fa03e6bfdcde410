"""Objects that a tracer may ask: what torch has for it, if it has it.

All of this is private to torch, and recent: opaque types whose registered members are
called while ``torch.compile`` traces, with the result as a constant of the graph, and
whose guard is evaluated before each call of the graph. Nothing else in the package
depends on it.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any

import torch
from torch import Tensor
from torch.torch_version import TorchVersion
from torch.utils._python_dispatch import _disable_current_modes

# The first version on which all of this is known to work.
_TESTED = "2.13"


def _found(module: str, name: str) -> object:
    try:
        return getattr(import_module(module), name, None)
    except ImportError:
        return None


_register: Any = _found("torch._library.opaque_object", "register_opaque_type")
_members: Any = _found("torch._library.opaque_object", "MemberType")
OpaqueBase: Any = _found("torch._opaque_base", "OpaqueBase") or object


def make_opaque(
    cls: type,
    *,
    guard: Callable[[Any], object],
    constants: Sequence[str],
    attributes: Sequence[str],
) -> bool:
    """Tell ``torch.compile`` how to trace the objects of a class.

    Args:
        cls: A subclass of ``OpaqueBase``.
        guard: Returns what must not change, from an object; compared with ``==``.
        constants: Methods whose results are constants of the graph.
        attributes: Attributes that are traced as usual.

    Returns:
        Whether this version of torch can do it.
    """
    if None in (_register, _members) or OpaqueBase is object:
        return False
    if TorchVersion(torch.__version__) < _TESTED:
        return False
    if not {"guard_fn", "members"} <= inspect.signature(_register).parameters.keys():
        return False
    members: Mapping[str, object] = {
        **dict.fromkeys(constants, _members.USE_REAL),
        **dict.fromkeys(attributes, _members.INLINED),
    }
    _register(
        cls,
        typ="reference",
        guard_fn=lambda instance: [guard(instance)],
        members=members,
    )
    return True


def untraced() -> AbstractContextManager[object]:
    """Return a context in which tensors hold numbers and no tracer sees them.

    Returns:
        A context manager.
    """
    context: AbstractContextManager[object] = _disable_current_modes()
    return context


def stands_for(traced: Tensor, real: Tensor | None) -> bool:
    """Return whether a tensor is another one, or what a tracer put in its place.

    Args:
        traced: A tensor, with numbers or without.
        real: A tensor with numbers, or nothing.

    Returns:
        Whether the numbers of the second are those of the first.
    """
    if traced is real:
        return True
    mode = getattr(traced, "fake_mode", None)
    if mode is None or real is None:
        return False
    return mode.from_tensor(real, static_shapes=True) is traced
