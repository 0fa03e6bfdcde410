"""How far attention can be from the convolution: numbers, before any input."""

from expressivity.bounds.first_order import first_order_error
from expressivity.bounds.leak import (
    alpha_for_leak,
    head_leaks,
    leak,
    mass_beyond,
    radius_for,
    saturation_alpha,
)
from expressivity.bounds.rows import largest_row_norms, row_norm_bound
from expressivity.bounds.worst_case import alpha_for, worst_case_error

__all__ = [
    "alpha_for",
    "alpha_for_leak",
    "first_order_error",
    "head_leaks",
    "largest_row_norms",
    "leak",
    "mass_beyond",
    "radius_for",
    "row_norm_bound",
    "saturation_alpha",
    "worst_case_error",
]
