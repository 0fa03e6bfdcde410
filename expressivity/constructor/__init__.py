"""Convolution to attention, attention to convolution, and how far apart they are."""

from expressivity.constructor.build import attention_from_conv, truncation_error
from expressivity.constructor.compare import conversion_error
from expressivity.constructor.heads import (
    HeadCount,
    TableHeads,
    head_count,
    minimal_heads,
)
from expressivity.constructor.invert import NearestConvolution, conv_from_attention

__all__ = [
    "HeadCount",
    "NearestConvolution",
    "TableHeads",
    "attention_from_conv",
    "conv_from_attention",
    "conversion_error",
    "head_count",
    "minimal_heads",
    "truncation_error",
]
