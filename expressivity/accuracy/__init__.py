"""How far is a layer from its convolution? Numbers, before any input.

Example:
    >>> import torch
    >>> conv = torch.nn.Conv2d(1, 1, 3)
    >>> bool(worst_case_error(conv, alpha=8.0) < worst_case_error(conv, alpha=4.0))
    True
    >>> leak(8.0, axes=2) < 2e-3
    True
"""

from expressivity.accuracy.first_order import first_order_error
from expressivity.accuracy.truncation import truncation_error
from expressivity.accuracy.worst_case import alpha_for, worst_case_error
from expressivity.heads.leak import leak, saturation_alpha

__all__ = [
    "alpha_for",
    "first_order_error",
    "leak",
    "saturation_alpha",
    "truncation_error",
    "worst_case_error",
]
