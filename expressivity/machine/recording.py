"""Who records a computation: autograd, forward mode and tracers of graphs."""

from collections.abc import Sequence

import torch
from torch import Tensor, fx, nn
from torch.autograd import forward_ad

from expressivity.errors import InputError

_FAKE = torch._C._TorchDispatchModeKey.FAKE
_PROXY = torch._C._TorchDispatchModeKey.PROXY


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
