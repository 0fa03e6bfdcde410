"""Who records a computation: autograd, forward mode and tracers of graphs."""

from collections.abc import Sequence

import torch
from torch import Tensor, fx, nn
from torch.autograd import forward_ad

from expressivity.errors import InputError

_FAKE = torch._C._TorchDispatchModeKey.FAKE
_PROXY = torch._C._TorchDispatchModeKey.PROXY

# Bound once: a look-up takes a microsecond where a large image has been in the cache.
_is_tracing = torch._C._is_tracing
_count_modes = torch._C._len_torch_dispatch_stack
_autocast_is_on = torch._C._is_any_autocast_enabled
_innermost_transform = torch._C._functorch.peek_interpreter_stack
_MODES_BEFORE_DISPATCH = torch._ops.mode_stack_state_for_pre_dispatch()


def are_recorded(tensors: Sequence[Tensor]) -> bool:
    """Return whether autograd records one of some tensors, or carries its tangent."""
    return (torch.is_grad_enabled() and any(t.requires_grad for t in tensors)) or any(
        forward_ad.unpack_dual(t).tangent is not None for t in tensors
    )


def are_memory(tensors: Sequence[Tensor]) -> bool:
    """Return whether tensors lie in memory: not those of ``vmap``, nor fake ones.

    Others have no memory format, and results cannot be written into parts of them.
    """
    try:
        return all(tensor.data_ptr() or not tensor.numel() for tensor in tensors)
    except RuntimeError:  # vmap
        return False


def is_ordinary() -> bool:
    """Return whether torch does with tensors what it is told, and only that.

    Autograd may record it. No compiler or tracer does; no mode of the dispatcher and no
    transform of ``torch.func`` changes it; there are no dual numbers, and autocast
    chooses no dtypes. This is one cheap question in place of many.
    """
    return not (
        torch.compiler.is_compiling()
        or _is_tracing()
        or _count_modes()
        or _autocast_is_on()
        or _innermost_transform() is not None
        or forward_ad._current_level >= 0
        or _MODES_BEFORE_DISPATCH.count()
    )


def is_traced() -> bool:
    """Return whether a tracer records a graph, which will run with other parameters.

    Tracers are ``torch.compile``, ``torch.export``, ``torch.jit.trace``, ``make_fx``.
    """
    return torch.compiler.is_compiling() or is_followed()


def is_followed() -> bool:
    """Return whether a tracer follows operations on tensors, and nothing else.

    ``torch.jit.trace``, ``make_fx`` and modes of fake tensors do. They take a number
    that code reads from a parameter for a constant, or have no numbers at all.
    """
    if is_jit_traced():
        return True
    mode_of = torch._C._get_dispatch_mode
    return (
        mode_of(_FAKE) is not None
        or mode_of(_PROXY) is not None
        or torch._ops._get_dispatch_mode_pre_dispatch(_PROXY) is not None
    )


def is_jit_traced() -> bool:
    """Return whether ``torch.jit.trace`` is at work: sizes are tensors then."""
    # torch.compile cannot follow the question.
    return not torch.compiler.is_compiling() and bool(torch._C._is_tracing())


def called_as_a_whole(module: nn.Module, x: fx.Proxy) -> fx.Proxy:
    """Record one call of a module, as ``torch.fx`` does for the modules of torch.

    Args:
        module: The module.
        x: The proxy of its input.

    Returns:
        The proxy of its output.

    Raises:
        InputError: If ``torch.fx`` traces the module itself.
    """
    path = x.tracer.path_of_module(module)  # type: ignore[attr-defined]
    if not path:
        raise InputError(
            "torch.fx records an attention layer as a single call and needs a module "
            f"around it, got the {type(module).__name__} itself: trace "
            "nn.Sequential(layer)"
        )
    node: fx.Proxy = x.tracer.create_proxy("call_module", path, (x,), {})
    return node
