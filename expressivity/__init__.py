"""Any convolution as a multi-head self-attention layer, with the error stated.

The public names; nobody inside the package imports from here.
"""

from expressivity.attention import RelativeSelfAttention, explain
from expressivity.bounds import (
    alpha_for,
    first_order_error,
    leak,
    saturation_alpha,
    worst_case_error,
)
from expressivity.comparison import Difference, measure_difference
from expressivity.constructor import (
    NearestConvolution,
    attention_from_conv,
    conv_from_attention,
    conversion_error,
    truncation_error,
)
from expressivity.convolutions import plain_convolution
from expressivity.errors import (
    ArgumentError,
    ExpressivityError,
    FileError,
    InputError,
    MissingDependencyError,
    NotOneHotError,
    StrategyError,
    UnsupportedModuleError,
)
from expressivity.geometry import ConvGeometry
from expressivity.surgery import Conversion, LayerRecord, convert

__version__ = "0.1.0"

__all__ = [
    "ArgumentError",
    "ConvGeometry",
    "Conversion",
    "Difference",
    "ExpressivityError",
    "FileError",
    "InputError",
    "LayerRecord",
    "MissingDependencyError",
    "NearestConvolution",
    "NotOneHotError",
    "RelativeSelfAttention",
    "StrategyError",
    "UnsupportedModuleError",
    "alpha_for",
    "attention_from_conv",
    "conv_from_attention",
    "conversion_error",
    "convert",
    "explain",
    "first_order_error",
    "leak",
    "measure_difference",
    "plain_convolution",
    "saturation_alpha",
    "truncation_error",
    "worst_case_error",
]
