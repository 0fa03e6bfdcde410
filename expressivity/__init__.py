"""Any convolution as a multi-head self-attention layer, with the error stated.

The public names are those of :mod:`expressivity.public`. It is imported, and torch with
it, when the first of them is used. Nobody inside the package imports from here.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from expressivity.version import __version__ as __version__

if TYPE_CHECKING:
    from expressivity.public import *  # noqa: F403
else:

    def __getattr__(name: str) -> object:
        """Return a public name, a module of the package, a short or an old name."""
        if name == "__all__" or not name.startswith("_"):
            public = import_module("expressivity.public")
            if name == "__all__" or name in public.__all__:
                return getattr(public, name)
            if name in globals():  # a module that has been imported by now
                return globals()[name]
            if name in public.SHORT:
                return public.short(name)
            if name in public.DEPRECATED:
                return public.deprecated(name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        hidden = [name for name in globals() if name.startswith("__")]
        return sorted([*hidden, *__getattr__("__all__")])
