"""Replace every convolution of a network by the attention that computes it."""

from expressivity.surgery.convert import convert
from expressivity.surgery.records import Conversion, LayerRecord
from expressivity.surgery.selection import Where

__all__ = ["Conversion", "LayerRecord", "Where", "convert"]
