"""A network on an example: the sizes that its layers see, and the program of it."""

import copy
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from expressivity.attention import RelativeSelfAttention
from expressivity.checks import shown
from expressivity.errors import ArgumentError, InputError, UnsupportedModuleError

Inputs = Tensor | tuple[Any, ...] | Mapping[str, Any]


class Example:
    """Arguments of a network.

    Attributes:
        args: Positional ones.
        kwargs: Keyword ones.
    """

    def __init__(self, inputs: object) -> None:
        """Take a tensor, a tuple of arguments, or a mapping of keyword arguments."""
        if not isinstance(inputs, (Tensor, tuple, Mapping)):
            raise ArgumentError(
                "inputs needs a tensor, a tuple of positional arguments or a mapping "
                f"of keyword arguments, got {shown(inputs)}"
            )
        self.args: tuple[Any, ...] = ()
        self.kwargs: dict[str, Any] = {}
        if isinstance(inputs, Mapping):
            self.kwargs = dict(inputs)
        else:
            self.args = (inputs,) if isinstance(inputs, Tensor) else inputs


def in_evaluation(model: nn.Module) -> nn.Module:
    """Return a copy of a network in evaluation mode, so that a run changes nothing."""
    return copy.deepcopy(model).eval()


def input_sizes(model: nn.Module, example: Example) -> dict[str, tuple[int, ...]]:
    """Return the size that each attention layer sees when a network runs.

    Args:
        model: The network; a copy of it runs.
        example: Its arguments.

    Returns:
        Pixels per axis, by the first name of a layer; layers that see several sizes, or
        none, are not listed.

    Raises:
        InputError: If the network cannot run on the example.
    """
    network = in_evaluation(model)
    sizes: dict[str, set[tuple[int, ...]]] = {}

    def record(name: str, layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        axes = cast("RelativeSelfAttention", layer).geometry.axes
        sizes.setdefault(name, set()).add(tuple(inputs[0].shape[-axes:]))

    with ExitStack() as hooks:
        for name, module in network.named_modules():
            if isinstance(module, RelativeSelfAttention):
                handle = module.register_forward_pre_hook(partial(record, name))
                hooks.callback(handle.remove)
        run(network, example)
    return {name: seen.pop() for name, seen in sizes.items() if len(seen) == 1}


@torch.no_grad()
def run(network: nn.Module, example: Example) -> object:
    """Run a network on an example, without gradients.

    Returns:
        What it returns.

    Raises:
        InputError: If it cannot.
    """
    try:
        return network(*example.args, **example.kwargs)
    except Exception as error:
        raise InputError(
            "the network needs to run on inputs, but failed with "
            f"{type(error).__name__}: {error}"
        ) from error


def exported(model: nn.Module, example: Example) -> torch.export.ExportedProgram:
    """Return a network as a program of torch.export, in evaluation mode.

    Args:
        model: The network.
        example: What it is traced on. A single tensor stands for batches of any length.

    Returns:
        The program.

    Raises:
        UnsupportedModuleError: If torch cannot export the network.
    """
    args, dynamic = example.args, None
    if len(args) == 1 and isinstance(args[0], Tensor) and not example.kwargs:
        (x,) = args
        if x.dim() and len(x) == 1:  # torch takes a batch of one for a fixed number
            x = torch.cat([x, x])
        args, dynamic = (x,), ({0: torch.export.Dim.AUTO},)
    try:
        with torch.no_grad():
            return torch.export.export(
                in_evaluation(model),
                args,
                example.kwargs or None,
                dynamic_shapes=dynamic,
                strict=False,
            )
    except Exception as error:
        raise UnsupportedModuleError(
            f"torch cannot export {type(model).__name__} as a program "
            f"({type(error).__name__}: {str(error).splitlines()[0]}): save it without "
            "program=True, and load it into the network"
        ) from error
