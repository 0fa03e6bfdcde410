"""The smoothing identity: attention is a smoothing and a convolution."""

from expressivity.strategies.separable.grouping import largest_crowd
from expressivity.strategies.separable.strategy import Separable, plans

__all__ = ["Separable", "largest_crowd", "plans"]
