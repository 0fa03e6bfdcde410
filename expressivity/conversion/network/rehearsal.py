"""Run a converted network once, and notice whether it still uses a convolution.

This detects what no search of the attributes can: code that still calls a layer by a
global variable, and code that reads an attribute which attention does not have.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from expressivity.attention import RelativeSelfAttention
from expressivity.conversion.network.class_questions import watch_class
from expressivity.conversion.network.copying import independent_copy
from expressivity.errors import InputError, UnsupportedModuleError
from expressivity.machine.exhaustion import is_out_of_memory

Inputs = Tensor | tuple[Any, ...] | Mapping[str, Any]

STILL_CALLED = (
    "it goes on being used in its old form when the network runs on inputs=, by "
    "something other than its place among the submodules: call it there"
)
OF_THE_GIVEN = (
    "the copy goes on using the one of the given model when it runs on inputs=, so "
    "that the two depend on each other: make it an attribute of the model"
)


def rehearse(
    original: nn.Module,
    converted: nn.Module,
    replaced: Mapping[str, nn.Module],
    inputs: Inputs,
) -> dict[str, str]:
    """Run a copy of a converted network, and return the convolutions that must stay.

    Args:
        original: The given network.
        converted: The converted one; neither changes, nor do their statistics.
        replaced: The convolutions that attention replaced, by name.
        inputs: Arguments of the network.

    Returns:
        Why a convolution has to stay, by name: the network still uses its old form,
        asks for its class, or reads an attribute that attention does not have.

    Raises:
        InputError: If the given network cannot run on the inputs either.
        UnsupportedModuleError: If the converted one alone cannot.
    """
    # One copy of all: a reference that still leads to a convolution leads to its copy.
    both = nn.ModuleList([converted, *replaced.values()])
    model, *old = independent_copy(both).children()
    watch = _Watch()
    questions: dict[str, str] = {}
    for (name, module), copied in zip(replaced.items(), old, strict=True):
        layer = model.get_submodule(name)
        watch_class(layer, module, partial(_note_question, questions, name, module))
        watch.add(module, name, STILL_CALLED)
        watch.add(copied, name, STILL_CALLED)
        watch.add(original.get_submodule(name), name, OF_THE_GIVEN)
    try:
        with watch:
            _run(model, inputs)
    except Exception as error:
        if is_out_of_memory(error):  # no fault of a layer
            raise
        place = _place(error, model)
        missing = isinstance(error, AttributeError) and place in replaced
        if missing and isinstance(model.get_submodule(place), RelativeSelfAttention):
            return {place: f"the network reads what attention does not have: {error}"}
        _check_original(original, inputs)
        raise UnsupportedModuleError(
            f"the converted model cannot run on inputs=, the given one can: "
            f"{place or 'the model'} failed with {_named(error)}. Leave layers out by "
            "where="
        ) from error
    return questions | watch.used


def _note_question(
    questions: dict[str, str], name: str, module: nn.Module, place: str
) -> None:
    questions.setdefault(
        name,
        f"while the network runs on inputs=, {place} asks whether it is a "
        f"{type(module).__name__}, and may do something else for attention",
    )


class _Watch(TorchDispatchMode):
    """Notes which convolution's parameters take part in a computation."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.used: dict[str, str] = {}
        self._owners: dict[int, tuple[str, str]] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # torch would import dynamo, a second's work, to be told to skip

    def add(self, module: nn.Module, name: str, reason: str) -> None:
        """Watch the parameters of a module."""
        for parameter in module.parameters():
            if parameter.numel() and not parameter.is_meta:
                self._owners.setdefault(parameter.data_ptr(), (name, reason))

    def __torch_dispatch__(
        self,
        func: Callable[..., object],
        types: object,
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        for leaf in pytree.tree_leaves((args, kwargs)):
            if type(leaf) in (Tensor, nn.Parameter) and leaf.numel():
                name, reason = self._owners.get(leaf.data_ptr(), (None, ""))
                if name is not None:
                    self.used.setdefault(name, reason)
        return func(*args, **(kwargs or {}))


def _run(model: nn.Module, inputs: Inputs) -> None:
    inputs = pytree.tree_map_only(Tensor, lambda t: t.detach().clone(), inputs)
    devices = {p.device for p in model.parameters() if p.device.type == "cuda"}
    with torch.no_grad(), torch.random.fork_rng(devices=list(devices)):
        if isinstance(inputs, Mapping):
            model(**inputs)
        elif isinstance(inputs, tuple):
            model(*inputs)
        else:
            model(inputs)


def _check_original(original: nn.Module, inputs: Inputs) -> None:
    try:
        _run(independent_copy(original), inputs)
    except Exception as error:
        raise InputError(
            "inputs needs what the given model can run on (a tensor, a tuple of "
            "positional arguments or a mapping of keyword arguments), but it failed "
            f"with {_named(error)}"
        ) from error


def _place(error: Exception, model: nn.Module) -> str:
    """Return the name of the innermost module that an error passed through."""
    names = {id(module): name for name, module in model.named_modules()}
    place, step = "", error.__traceback__
    while step is not None:
        owner = step.tb_frame.f_locals.get("self")
        place, step = names.get(id(owner), place), step.tb_next
    return place


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
