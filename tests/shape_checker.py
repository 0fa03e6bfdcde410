"""The checker behind jaxtyping's annotations: beartype, for shapes and nothing else.

Other hints are mypy's business. Here they would only hide the package's own errors
about arguments of a wrong type behind beartype's.
"""

from collections.abc import Callable
from typing import Any, get_args

from beartype import beartype
from jaxtyping import AbstractArray


def check_shapes(function: Callable[..., Any]) -> Callable[..., Any]:
    """Check those arguments and results of a function that are annotated with shapes.

    Args:
        function: Loses its other annotations.
    """
    hints = getattr(function, "__annotations__", {})
    for name in [name for name, hint in hints.items() if not _names_a_shape(hint)]:
        del hints[name]
    return beartype(function)


def _names_a_shape(hint: object) -> bool:
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        return True
    return any(_names_a_shape(inner) for inner in get_args(hint))
