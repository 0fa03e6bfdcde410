"""Which modules of a network are convolutions, and which of them ``where`` selects."""

import re
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from expressivity.checks import check_callable
from expressivity.convolutions import CONVOLUTIONS, TRANSPOSED
from expressivity.errors import ArgumentError

Predicate = Callable[[str, nn.Module], bool]
Where = str | Sequence[str] | Predicate


def convolution_like(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield every module that is a convolution or is called one.

    Args:
        model: The network.

    Yields:
        First name and module, each module once: torch's convolutions and their
        subclasses, transposed ones, and modules without children whose class name
        says "conv" and that hold a kernel (quantised, scripted or hand-written ones).
    """
    for name, module in model.named_modules():
        is_torchs = isinstance(module, CONVOLUTIONS + TRANSPOSED)
        if is_torchs or (_is_called_one(module) and _holds_kernel(module)):
            yield name, module


def _is_called_one(module: nn.Module) -> bool:
    kind = type(module).__name__
    if isinstance(module, torch.jit.ScriptModule):
        kind = str(getattr(module, "original_name", kind))
    childless = next(module.children(), None) is None
    return childless and re.search("conv", kind, re.IGNORECASE) is not None


def _holds_kernel(module: nn.Module) -> bool:
    """Whether a module has a tensor shaped as a kernel, or the options of one."""
    # The scale of a normalisation may have as many axes, but is long in one of them.
    tensors = (*module.parameters(recurse=False), *module.buffers(recurse=False))
    shaped = any(
        t.dim() in (3, 4, 5) and sum(size > 1 for size in t.shape) > 1
        for t in tensors
        if not is_lazy(t)
    )
    # A quantised convolution packs its weight away.
    return shaped or {"in_channels", "kernel_size"} <= vars(module).keys()


def selector(where: Where | None, names: Sequence[str]) -> Predicate:
    """Return the predicate, of name and module, that ``where=`` means.

    Args:
        where: ``None`` for all; a predicate of name and module; or names, or shell
            patterns of names (``"layer3.*"``), one or several.
        names: The names of all convolutions of the model.

    Raises:
        ArgumentError: If it is none of these, or a pattern matches no convolution.
    """
    if where is None:
        return lambda name, module: True
    if callable(where):
        check_callable("where", where)
        return where
    patterns = [where] if isinstance(where, str) else where
    listed = isinstance(patterns, Sequence)
    if not (listed and all(isinstance(pattern, str) for pattern in patterns)):
        raise ArgumentError(
            "where needs a predicate of name and module, a name, or a sequence of "
            f"names or patterns, got {where!r}"
        )
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ArgumentError(
                f"where={pattern!r} matches no convolution of the model; it has: "
                f"{', '.join(names) or 'none'}"
            )
    return lambda name, module: any(fnmatchcase(name, p) for p in patterns)
