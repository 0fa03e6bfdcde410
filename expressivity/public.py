"""The public names of the package, all of which ``expressivity`` hands on."""

import warnings
from importlib import import_module

from expressivity import accuracy, atlas, errors, plots, stock, training
from expressivity.accuracy import alpha_for, worst_case_error
from expressivity.accuracy.certificate import Certificate, certify
from expressivity.attention import RelativeSelfAttention, explain
from expressivity.comparison import compare
from expressivity.conversion import attention_from_conv, conv_from_attention, head_count
from expressivity.conversion.head_count import head_curve, minimal_heads
from expressivity.conversion.network import convert, load
from expressivity.explorer import explore
from expressivity.geometry import ConvGeometry
from expressivity.sweep import error_sweep

__all__ = [
    "Certificate",
    "ConvGeometry",
    "RelativeSelfAttention",
    "accuracy",
    "alpha_for",
    "atlas",
    "attention_from_conv",
    "certify",
    "compare",
    "conv_from_attention",
    "convert",
    "error_sweep",
    "errors",
    "explore",
    "head_count",
    "load",
    "plots",
    "stock",
    "training",
    "worst_case_error",
]

# Names that are spelled without their module, too, though they are not listed.
SHORT = {
    "head_report": "training",
    "init_vit": "stock",
    "parameter_groups": "training",
    "to_multihead": "stock",
}

# Where the other names of version 0.1 are now.
_MOVED = {
    "accuracy": ("first_order_error", "leak", "saturation_alpha", "truncation_error"),
    "comparison": ("Difference",),
    "conversion": ("HeadCount", "HeadCurve", "NearestConvolution", "TableHeads"),
    "conversion.network": ("Conversion", "LayerRecord"),
    "convolutions": ("plain_convolution",),
    "errors": (
        "ArgumentError",
        "CertificateError",
        "ConvolutionAttributeError",
        "ExpressivityError",
        "FileError",
        "InputError",
        "MissingDependencyError",
        "NotOneHotError",
        "StrategyError",
        "UnsupportedModuleError",
    ),
    "plots": (
        "plot_attention_maps",
        "plot_error_vs_alpha",
        "plot_head_curve",
        "plot_overview",
    ),
    "sweep": ("ErrorSweep",),
}
_REPLACED = {
    "conversion_error": ("worst_case_error(attention, conv)", worst_case_error),
    "explain": ("attention.explain(x)", explain),
    "head_curve": ("head_count(conv).curve()", head_curve),
    "measure_difference": ("compare(first, second, inputs)", compare),
    "minimal_heads": ("head_count(conv).minimal()", minimal_heads),
}
DEPRECATED = {
    **{
        name: (f"expressivity.{module}.{name}", module)
        for module, names in _MOVED.items()
        for name in names
    },
    **_REPLACED,
}


def short(name: str) -> object:
    """Return what a name stands for that is spelled without its module.

    Args:
        name: One of ``SHORT``.

    Returns:
        The object.
    """
    return getattr(import_module(f"expressivity.{SHORT[name]}"), name)


def deprecated(name: str) -> object:
    """Return what a name of version 0.1 stood for, with a warning.

    Args:
        name: One of ``DEPRECATED``.

    Returns:
        The same object, under its new name.
    """
    instead, place = DEPRECATED[name]
    warnings.warn(
        f"expressivity.{name} will go in the next version: write {instead}",
        DeprecationWarning,
        stacklevel=3,
    )
    if isinstance(place, str):
        return getattr(import_module(f"expressivity.{place}"), name)
    return place
