"""Convolution to attention and back, for a layer and for a whole network."""

from expressivity.conversion.head_count import (
    HeadCount,
    HeadCurve,
    TableHeads,
    head_count,
)
from expressivity.conversion.to_attention import attention_from_conv
from expressivity.conversion.to_convolution import (
    NearestConvolution,
    conv_from_attention,
)

__all__ = [
    "HeadCount",
    "HeadCurve",
    "NearestConvolution",
    "TableHeads",
    "attention_from_conv",
    "conv_from_attention",
    "head_count",
]
