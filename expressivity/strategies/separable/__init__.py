"""The smoothing identity: attention is a smoothing and a convolution."""

from expressivity.strategies.separable.strategy import Separable

__all__ = ["Separable"]
