"""All statements by name, in reading order; a statement is built on first use."""

from functools import cache
from importlib import import_module
from types import ModuleType

from proofs.engine import Statement

SUBJECTS = {
    "attention": (
        "quadratic_identity",
        "softmax_limit",
        "separability",
        "smoothing_identity",
        "leak",
        "first_order",
        "worst_case",
        "absolute_factorisation",
        "saturation",
    ),
    "borders": (
        "replicate_border",
        "zero_padding",
    ),
    "heads": (
        "head_rank",
        "head_count",
        "minimal_heads",
        "nonsingular_smoothing",
        "soft_rings",
    ),
    "atlas": (
        "swap_symmetry",
        "silent_query",
        "mirror_symmetry",
        "shared_bucket",
        "rotary_maximum",
        "normaliser",
        "receptive_field",
        "patch_count",
        "gelu_identity",
        "repmlp_matrix",
    ),
}
_SUBJECT_OF = {name: subject for subject, names in SUBJECTS.items() for name in names}
NAMES = tuple(_SUBJECT_OF)


def path(name: str) -> str:
    """Return the path of the file of a statement, from this folder.

    Args:
        name: One of ``NAMES``.

    Returns:
        The path, with slashes.

    Example:
        >>> path("leak")
        'statements/attention/leak.py'
    """
    return f"statements/{_SUBJECT_OF[name]}/{name}.py"


def module(name: str) -> ModuleType:
    """Import the file of a statement.

    Args:
        name: One of ``NAMES``.

    Returns:
        The module. It has ``FORMULAS`` and ``build``.
    """
    return import_module(f"proofs.statements.{_SUBJECT_OF[name]}.{name}")


@cache
def statement(name: str) -> Statement:
    """Build a statement from the formulas of its file.

    Args:
        name: One of ``NAMES``.

    Returns:
        The statement: the same object on every call.
    """
    source = module(name)
    built: Statement = source.build(source.FORMULAS)
    return built
