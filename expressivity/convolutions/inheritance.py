"""Whether a module runs the code of a known class, and nothing else.

A class that inherits all of that code computes what the known class computes, whatever
else it adds.
"""

from collections.abc import Collection
from functools import cache
from types import GetSetDescriptorType

from torch import nn

from expressivity.convolutions.plain import CONVOLUTIONS
from expressivity.errors import UnsupportedModuleError

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
    base = next((c for c in type(module).__mro__ if c in CONVOLUTIONS), None)
    return base is not None and not changed_names(module, _plain(base))


def changed_names(module: nn.Module, plain: nn.Module) -> tuple[str, ...]:
    """Return the names that mean something else to a module than to a plain one."""
    kind, base = type(module), type(plain)
    hidden = vars(module).keys() & set(dir(base)) - {_COMPILED}
    names = set(dir(plain)) - _WITHOUT_EFFECT
    changed = {n for n in names if _definition(kind, n) is not _definition(base, n)}
    return tuple(sorted(hidden | changed))


def require_no_additions(
    module: nn.Module, known: Collection[str], *, plain: str
) -> None:
    """Refuse hooks and state that a plain module does not have."""
    hooks = [
        name.strip("_")
        for name, registry in vars(module).items()
        if name.endswith("_hooks") and "state_dict" not in name and registry
    ]
    if hooks:
        raise UnsupportedModuleError(
            f"it has hooks of its own ({', '.join(hooks)}), which may change its "
            "weight or output: remove them first"
        )
    names = [*module._parameters, *module._buffers, *module._modules]
    extra = [name for name in names if name not in known]
    if extra:
        raise UnsupportedModuleError(
            f"it has state that {plain} would drop: {', '.join(extra)}"
        )


@cache
def _plain(kind: type[nn.Module]) -> nn.Module:
    """Return a small convolution."""
    return kind(1, 1, 1, device="meta")


def _definition(kind: type, name: str) -> object:
    """Return what a name means to a class, as the interpreter looks it up."""
    for one in kind.__mro__:
        definition = vars(one).get(name)
        # The interpreter gives one to every class that stands beside nn.Module.
        if name in vars(one) and not isinstance(definition, GetSetDescriptorType):
            return definition
    return None
