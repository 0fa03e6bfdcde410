"""Where is everything? Canvas, taps, attention centers, queries."""

from expressivity.geometry.convolution import ConvGeometry, Convolution
from expressivity.geometry.padding import PaddingMode

__all__ = ["ConvGeometry", "Convolution", "PaddingMode"]
