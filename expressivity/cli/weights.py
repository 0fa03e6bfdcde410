"""Read weights and inputs from files that are not trusted."""

import pickle
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from expressivity.errors import FileError
from expressivity.machine.exhaustion import is_out_of_memory
from expressivity.machine.files import check_input
from expressivity.machine.weights import fill, shortened

_NESTED_UNDER = ("state_dict", "model")
_HEAD = 9
_SMALL = 2**24  # bytes: a smaller file that needs more memory than there is, is damaged


def read_weights(path: Path) -> Mapping[str, Tensor]:
    """Read a state dict from a safetensors file or a torch file.

    Nothing in the file is executed.

    Args:
        path: Any file of ``safetensors`` or ``torch.save``; told apart by content.

    Returns:
        Names and tensors, on the CPU; what a checkpoint holds under
        ``"state_dict"`` or ``"model"``.

    Raises:
        FileError: If the file is missing, damaged, would run code, or holds
            something else than a state dict.
    """
    content = _read(path, _load_tensors)
    for key in _NESTED_UNDER:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not all(
        isinstance(name, str) for name in content
    ):
        raise FileError(
            f"{path} needs to hold a state dict (names and tensors), got a "
            f"{type(content).__name__}: save model.state_dict()"
        )
    for name, value in content.items():
        if isinstance(value, Tensor) and (reason := _unreadable(value)):
            raise FileError(
                f"{path} needs plain tensors with numbers, got {reason} for "
                f"{shortened(name)}: save it as a dense tensor"
            )
    return content


def load_weights(model: nn.Module, path: Path) -> None:
    """Load the weights in a file into a model, every name exactly once.

    Args:
        model: Changed in place.
        path: As for :func:`read_weights`.

    Raises:
        FileError: As :func:`read_weights` and :func:`fill`.
    """
    fill(model, read_weights(path), path)


def read_inputs(
    path: Path, *, like: Sequence[int] | None, dtype: torch.dtype
) -> Tensor:
    """Read the one tensor of inputs in a file.

    Args:
        path: A .npy file, or one of ``safetensors`` or ``torch.save``.
        like: Shape of a batch; all but the first number have to agree. ``None`` for
            any shape.
        dtype: Floating dtype to return.

    Returns:
        One tensor, finite; (inputs, *like[1:]) if there is a shape.

    Raises:
        FileError: If the file is missing, damaged, would run code, or does not hold
            exactly one such tensor.
    """
    content = _read(path, _load_array if path.suffix == ".npy" else _load_tensors)
    if isinstance(content, Mapping) and len(content) == 1:
        (content,) = content.values()
    if not isinstance(content, Tensor):
        count = len(content) if isinstance(content, Mapping) else "none"
        raise FileError(f"{path} needs to hold one tensor of inputs, got {count}")
    if reason := _unreadable(content):
        raise FileError(f"{path} needs a plain tensor of inputs, got {reason}")
    shape = content.shape[1:] if like is None else torch.Size(like[1:])
    if content.shape[1:] != shape or not content.numel():
        needed = ", ".join(["n", *map(str, shape)])
        raise FileError(
            f"{path} needs inputs of shape ({needed}) with n ≥ 1, got "
            f"{tuple(content.shape)}: reshape them, or change --input"
        )
    if not content.is_floating_point():
        raise FileError(
            f"{path} needs floating-point inputs, got {content.dtype}: scale them as "
            "the model expects them"
        )
    if not bool(content.isfinite().all()):
        raise FileError(f"{path} holds inputs that are NaN or infinite: remove them")
    return content.to(dtype)


def _read(path: Path, load: Callable[[Path, bytes], object]) -> object:
    """Load a file; every error in its content is reported as damage."""
    check_input(path)
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return load(path, head)
    except pickle.UnpicklingError as error:
        name = re.search(r"GLOBAL (\S+)", str(error))
        verdict = f"holds {name[1]}" if name else "is damaged or holds other objects"
        raise FileError(
            f"{path} {verdict}; only tensors are read, since other objects may run "
            "code, and nothing was run. Save model.state_dict() and pass that"
        ) from error
    except Exception as error:
        if is_out_of_memory(error) and path.stat().st_size > _SMALL:
            raise
        first_sentence = re.split(r"\.\s|\n", str(error), maxsplit=1)[0]
        raise FileError(
            f"{path} is damaged or of a kind that is not read here "
            f"({type(error).__name__}: {first_sentence})"
        ) from error


def _load_array(path: Path, _: bytes) -> Tensor:
    return torch.from_numpy(np.load(path, allow_pickle=False))


def _load_tensors(path: Path, head: bytes) -> object:
    # A safetensors file starts with the length of its header, which is JSON.
    from_torch = head.startswith((b"PK", b"\x80"))
    if head[8:] == b"{" or (path.suffix == ".safetensors" and not from_torch):
        return load_file(path)
    # A file object: given a path, torch may go by its extension.
    with path.open("rb") as file:
        content: object = torch.load(file, map_location="cpu", weights_only=True)
    return content


def _unreadable(value: Tensor) -> str:
    """Name the reason why a tensor has no plain numbers; else nothing."""
    if value.is_nested:
        return "a nested tensor"
    if value.is_quantized:
        return "a quantized tensor"
    if value.layout != torch.strided:
        return f"a tensor of layout {str(value.layout).removeprefix('torch.')}"
    return "a tensor without storage (meta)" if value.is_meta else ""
