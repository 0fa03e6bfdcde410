"""Objects that a tracer may ask, where this version of torch allows it.

All of this is private to torch, and recent. ``torch.compile`` calls registered methods
of an opaque type while it traces, and takes the results for constants of the graph. It
evaluates the guard of the type before each call of the graph. Nothing else in the
package depends on private parts of torch for this.
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


def _optional(module: str, name: str) -> object:
    try:
        return getattr(import_module(module), name, None)
    except ImportError:
        return None


_register: Any = _optional("torch._library.opaque_object", "register_opaque_type")
_members: Any = _optional("torch._library.opaque_object", "MemberType")
OpaqueBase: Any = _optional("torch._opaque_base", "OpaqueBase") or object


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
        guard: Returns the part of an object that must stay equal.
        constants: Methods whose results are constants of the graph.
        attributes: Attributes that torch traces as usual.

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
    """Return a context in which tensors hold numbers and no tracer sees them."""
    context: AbstractContextManager[object] = _disable_current_modes()
    return context


def stands_for(traced: Tensor, real: Tensor | None) -> bool:
    """Return whether a tensor is a real one, or what a tracer put in its place."""
    if traced is real:
        return True
    mode = getattr(traced, "fake_mode", None)
    if mode is None or real is None:
        return False
    return mode.from_tensor(real, static_shapes=True) is traced
