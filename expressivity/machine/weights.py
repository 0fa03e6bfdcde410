"""Tensors in safetensors files, and the modules that they fill: nothing is executed."""

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from expressivity.errors import FileError
from expressivity.machine.exhaustion import is_out_of_memory
from expressivity.machine.files import check_input

Module = TypeVar("Module", bound=nn.Module)

_LISTED, _LETTERS = 3, 100


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    Args:
        path: The file.

    Returns:
        Names and tensors, on the CPU.

    Raises:
        FileError: If the file is missing, damaged or of another kind.
    """
    check_input(path)
    try:
        return load_file(path)
    except Exception as error:  # one class for damage, others for the system's refusal
        raise FileError(
            f"{path} is damaged or no safetensors file ({type(error).__name__}: "
            f"{error}): write it again"
        ) from error


def assigned(module: Module, tensors: Mapping[str, Tensor]) -> Module:
    """Give a module without numbers its tensors, as they are.

    Args:
        module: A module on the meta device, changed in place.
        tensors: One for every parameter and buffer.

    Returns:
        The module itself.

    Raises:
        FileError: If a tensor is missing, is too many, or has another shape or dtype.
    """
    own = module.state_dict()
    faults = [
        f"{name} needs {_kind(own[name])}, got "
        f"{_kind(tensors[name]) if name in tensors else 'none'}"
        for name in own
        if name not in tensors
        or tensors[name].shape != own[name].shape
        or tensors[name].dtype != own[name].dtype
    ]
    faults += [f"{name} is no parameter" for name in tensors.keys() - own.keys()]
    if faults:
        raise FileError(f"the tensors are not those described: {faults[0]}")
    module.load_state_dict(dict(tensors), assign=True)
    return module


def fill(model: nn.Module, weights: Mapping[str, Tensor], path: Path) -> None:
    """Give a model its weights, every name exactly once.

    One name is enough for a tensor that the model shares between several names.

    Args:
        model: Changed in place.
        weights: Names and tensors.
        path: Their file, for messages.

    Raises:
        FileError: If names are missing or unexpected or tensors have another shape or
            kind of number.
    """
    kind = type(model).__name__
    faults = {"of another shape or kind": _misfits(model.state_dict(), weights)}
    if not any(faults.values()):
        try:
            # The mapping itself: its metadata state its version.
            result = model.load_state_dict(weights, strict=False)
        except Exception as error:  # a model may override how it loads
            if is_out_of_memory(error):
                raise
            raise FileError(
                f"the weights in {path} cannot be loaded into {kind}: {error}"
            ) from error
        own = model.state_dict()
        filled = {_memory(own[name]) for name in own.keys() & weights.keys()}
        faults = {
            "missing": [
                name for name in result.missing_keys if _memory(own[name]) not in filled
            ],
            "unexpected": result.unexpected_keys,
        }
    if any(faults.values()):
        listed = "; ".join(
            f"{len(names)} {fault} ({', '.join(map(shortened, names[:_LISTED]))}"
            f"{', …' if len(names) > _LISTED else ''})"
            for fault, names in faults.items()
            if names
        )
        raise FileError(f"the weights in {path} are not those of {kind}: {listed}")


def _misfits(own: Mapping[str, object], weights: Mapping[str, object]) -> list[str]:
    """Describe the tensors in a file that do not fit those of the same name."""
    pairs = {name: (weights[name], own[name]) for name in own if name in weights}
    return [
        f"{name}: {_described(value)} for {_described(place)}"
        for name, (value, place) in pairs.items()
        if not (isinstance(place, Tensor) and is_lazy(place))
        and _described(value) != _described(place)
    ]


def _kind(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"


def shortened(name: str) -> str:
    """Return a name as messages show it."""
    return name if len(name) <= _LETTERS else f"{name[:_LETTERS]}…"


def _described(value: object) -> str:
    """Name the kind of number and the shape; other dtypes of a kind are cast."""
    if not isinstance(value, Tensor):
        return type(value).__name__
    if value.is_complex():
        kind = "complex"
    else:
        kind = "floating-point" if value.is_floating_point() else "integer"
    return f"{kind} {tuple(value.shape)}"


def _memory(value: object) -> int:
    """Identify the memory of a tensor, so that shared ones are recognised."""
    return value.data_ptr() if isinstance(value, Tensor) else id(value)
