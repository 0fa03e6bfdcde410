"""Arrays of floats in JSON: their shape, and their bytes in base64.

Numbers of float32 take four bytes, others eight; nothing is rounded.
"""

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from expressivity.errors import FileError

_KINDS = {"float32": "<f4", "float64": "<f8"}


def encoded(values: Tensor) -> dict[str, object]:
    """Return a tensor as JSON takes it.

    Args:
        values: Floats of any dtype and shape.

    Returns:
        The shape, the kind of number and the bytes, little-endian.

    Example:
        >>> encoded(torch.tensor([1.0]))
        {'shape': [1], 'float32': 'AACAPw=='}
    """
    wide = values.detach().cpu().double()
    narrow = wide.float()
    kind = "float32" if torch.equal(narrow.double(), wide) else "float64"
    numbers = (narrow if kind == "float32" else wide).numpy().astype(_KINDS[kind])
    return {
        "shape": list(values.shape),
        kind: base64.b64encode(numbers.tobytes()).decode("ascii"),
    }


def decoded(document: Mapping[str, Any]) -> Tensor:
    """Return the tensor that :func:`encoded` wrote, in float64.

    Args:
        document: What it returned.

    Returns:
        The tensor, on the CPU.

    Raises:
        FileError: If the bytes do not fit the shape.

    Example:
        >>> decoded(encoded(torch.tensor([[0.1]], dtype=torch.float64))).tolist()
        [[0.1]]
    """
    (kind,) = _KINDS.keys() & document.keys()
    numbers = np.frombuffer(base64.b64decode(document[kind]), _KINDS[kind])
    if numbers.size != np.prod(document["shape"], dtype=int):
        raise FileError(
            f"an array of shape {document['shape']} needs as many numbers, got "
            f"{numbers.size}: the page is damaged, make it again"
        )
    return torch.from_numpy(numbers.astype("f8")).reshape(document["shape"])
