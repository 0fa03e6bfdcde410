"""Where is everything? Canvas, taps, attention centers, queries."""

from expressivity.geometry.convolution import (
    ConvGeometry,
    Convolution,
    PaddingMode,
)

__all__ = ["ConvGeometry", "Convolution", "PaddingMode"]
