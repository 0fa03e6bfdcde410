"""The smoothing identity: attention is a smoothing and a convolution."""

from expressivity.strategies.separable.grouping import largest_crowd
from expressivity.strategies.separable.own_heads import OwnHeads
from expressivity.strategies.separable.plan import Step
from expressivity.strategies.separable.strategy import Separable, plans

__all__ = ["OwnHeads", "Separable", "Step", "largest_crowd", "plans"]
