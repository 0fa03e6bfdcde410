"""What is computed once: results of functions, and hashes of frozen objects."""

from collections.abc import Callable
from dataclasses import fields
from functools import cached_property, lru_cache, wraps
from typing import ParamSpec, TypeVar

import torch

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_MOST = 1024


def cached_unless_traced(
    function: Callable[Arguments, Result],
) -> Callable[Arguments, Result]:
    """Keep the latest results of a function, except while ``torch.compile`` traces.

    Sizes may then be symbols, which have no hash and stand for many numbers.

    Args:
        function: Its results must follow from its arguments, which need hashes.

    Returns:
        The same function, with a cache.
    """
    cached = lru_cache(_MOST)(function)

    @wraps(function)
    def wrapper(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        if torch.compiler.is_compiling():
            return function(*args, **kwargs)
        return cached(*args, **kwargs)  # type: ignore[arg-type]

    return wrapper


class CachedHash:
    """A base of frozen dataclasses that are looked up on every call of a layer."""

    def __init_subclass__(cls) -> None:
        """Keep the hash below: ``dataclass`` replaces one that is inherited."""
        super().__init_subclass__()
        cls.__hash__ = CachedHash.__hash__  # type: ignore[method-assign]

    def __hash__(self) -> int:
        return self._hash

    def __getstate__(self) -> dict[str, object]:
        # Another process would have another hash.
        return {name: v for name, v in vars(self).items() if name != "_hash"}

    @cached_property
    def _hash(self) -> int:
        return hash(tuple(getattr(self, f.name) for f in fields(self)))  # type: ignore[arg-type]
