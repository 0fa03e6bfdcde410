"""Replace every convolution of a network by the attention that computes it."""

from expressivity.conversion.network.convert import convert
from expressivity.conversion.network.loading import load
from expressivity.conversion.network.records import Conversion, LayerRecord
from expressivity.conversion.network.selection import Where

__all__ = ["Conversion", "LayerRecord", "Where", "convert", "load"]
