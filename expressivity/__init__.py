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
        """Return a public name, or a module of the package."""
        if name == "__all__" or not name.startswith("_"):
            public = import_module("expressivity.public")
            for holder in (vars(public), globals()):
                if name in holder:
                    return holder[name]
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__getattr__("__all__")})
