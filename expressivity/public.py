"""The public names of the package, all of which ``expressivity`` hands on."""

from expressivity import atlas
from expressivity.accuracy import (
    alpha_for,
    first_order_error,
    worst_case_error,
)
from expressivity.accuracy.certificate import (
    Certificate,
    certify,
)
from expressivity.accuracy.layer import conversion_error
from expressivity.attention import RelativeSelfAttention, explain
from expressivity.comparison import Difference, measure_difference
from expressivity.conversion import (
    HeadCount,
    HeadCurve,
    NearestConvolution,
    TableHeads,
    attention_from_conv,
    conv_from_attention,
    head_count,
    head_curve,
    minimal_heads,
    truncation_error,
)
from expressivity.conversion.network import (
    Conversion,
    LayerRecord,
    convert,
)
from expressivity.convolutions import plain_convolution
from expressivity.errors import (
    ArgumentError,
    CertificateError,
    ConvolutionAttributeError,
    ExpressivityError,
    FileError,
    InputError,
    MissingDependencyError,
    NotOneHotError,
    StrategyError,
    UnsupportedModuleError,
)
from expressivity.geometry import ConvGeometry
from expressivity.heads.leak import (
    leak,
    saturation_alpha,
)
from expressivity.plots import (
    plot_attention_maps,
    plot_error_vs_alpha,
    plot_head_curve,
    plot_overview,
)
from expressivity.sweep import ErrorSweep, error_sweep

__all__ = [
    "ArgumentError",
    "Certificate",
    "CertificateError",
    "ConvGeometry",
    "Conversion",
    "ConvolutionAttributeError",
    "Difference",
    "ErrorSweep",
    "ExpressivityError",
    "FileError",
    "HeadCount",
    "HeadCurve",
    "InputError",
    "LayerRecord",
    "MissingDependencyError",
    "NearestConvolution",
    "NotOneHotError",
    "RelativeSelfAttention",
    "StrategyError",
    "TableHeads",
    "UnsupportedModuleError",
    "alpha_for",
    "atlas",
    "attention_from_conv",
    "certify",
    "conv_from_attention",
    "conversion_error",
    "convert",
    "error_sweep",
    "explain",
    "first_order_error",
    "head_count",
    "head_curve",
    "leak",
    "measure_difference",
    "minimal_heads",
    "plain_convolution",
    "plot_attention_maps",
    "plot_error_vs_alpha",
    "plot_head_curve",
    "plot_overview",
    "saturation_alpha",
    "truncation_error",
    "worst_case_error",
]
