"""Whether a module runs torch's own code, and nothing else, from call to output.

A class that inherits all of it computes what torch computes, whatever else it adds.
"""

from functools import cache
from types import GetSetDescriptorType

from torch import nn

from expressivity.convolutions.plain import CONVOLUTIONS

# What a class may say anew without any effect on its outputs.
_WITHOUT_EFFECT = frozenset({
    "__annotations__",
    "__constants__",
    "__dir__",
    "__doc__",
    "__firstlineno__",
    "__init__",
    "__init_subclass__",
    "__module__",
    "__new__",
    "__repr__",
    "__static_attributes__",
    "_get_name",
    "_load_from_state_dict",
    "_save_to_state_dict",
    "_version",
    "extra_repr",
    "reset_parameters",
})
# Where torch keeps the compiled form of a module that it has compiled in place.
_COMPILED = "_compiled_call_impl"


def inherits_forward(module: nn.Module) -> bool:
    """Return whether all code that a call of a convolution runs is torch's.

    Every name that a plain convolution knows has to mean the same to the class: the
    methods, the protocol of attributes, and names such as ``weight`` that instances
    hold and a property of the class would hide. Names that torch does not know are
    not called by torch. The instance must not hide a method either.

    Args:
        module: Any module.

    Returns:
        Whether its class is, or inherits unchanged from, ``nn.Conv1d``, ``nn.Conv2d``
        or ``nn.Conv3d``.

    Example:
        >>> class Doubled(nn.Conv2d):
        ...     def forward(self, x):
        ...         return 2 * super().forward(x)
        >>> inherits_forward(nn.Conv2d(1, 1, 1)), inherits_forward(Doubled(1, 1, 1))
        (True, False)
    """
    kind = type(module)
    base = next((c for c in kind.__mro__ if c in CONVOLUTIONS), None)
    if base is None or vars(module).keys() & set(dir(base)) - {_COMPILED}:
        return False
    return all(
        _definition(kind, name) is _definition(base, name) for name in _names(base)
    )


@cache
def _names(kind: type[nn.Module]) -> frozenset[str]:
    """Return every name that a plain convolution and its class know."""
    return frozenset(dir(kind(1, 1, 1, device="meta"))) - _WITHOUT_EFFECT


def _definition(kind: type, name: str) -> object:
    """Return what a name means to a class, as the interpreter looks it up."""
    for one in kind.__mro__:
        found = vars(one).get(name)
        # The interpreter gives one to every class that stands beside nn.Module.
        if name in vars(one) and not isinstance(found, GetSetDescriptorType):
            return found
    return None
