"""The checker behind jaxtyping's annotations: beartype, for shapes and nothing else.

Other hints are mypy's business. Here they would only hide the package's own errors
about arguments of a wrong type behind beartype's.
"""

from collections.abc import Callable
from typing import Any, get_args

import jaxtyping
from beartype import beartype

_jaxtyped = jaxtyping.jaxtyped


def install(package: str) -> None:
    """Check the shapes that the functions of a package state, once it is imported.

    Jaxtyping's hook decorates every function, and would bind the arguments of every
    call twice over. Those that state no shape are left as they are.
    """
    jaxtyping.jaxtyped = _jaxtyped_where_shapes_are
    jaxtyping.install_import_hook(package, f"{__name__}.{check_shapes.__name__}")


def check_shapes(function: Callable[..., Any]) -> Callable[..., Any]:
    """Check those arguments and results of a function that are annotated with shapes.

    Args:
        function: Loses its other annotations.
    """
    hints = getattr(function, "__annotations__", {})
    for name in [name for name, hint in hints.items() if not _names_a_shape(hint)]:
        del hints[name]
    return beartype(function)


def _jaxtyped_where_shapes_are(**options: Any) -> Callable[[Any], Any]:
    return lambda decorated: (
        _jaxtyped(decorated, **options) if _states_a_shape(decorated) else decorated
    )


def _states_a_shape(decorated: Any) -> bool:
    """Whether a function, or a class as what makes its instances, has such a hint."""
    function = decorated.__init__ if isinstance(decorated, type) else decorated
    hints = getattr(function, "__annotations__", {}).values()
    # What an annotation in quotes names is for jaxtyping to find out.
    return any(isinstance(hint, str) or _names_a_shape(hint) for hint in hints)


def _names_a_shape(hint: object) -> bool:
    if isinstance(hint, type) and issubclass(hint, jaxtyping.AbstractArray):
        return True
    return any(_names_a_shape(inner) for inner in get_args(hint))
