"""How far attention can be from the convolution: numbers, before any input."""

from expressivity.bounds.deviation import Deviation, Row, WorstRows
from expressivity.bounds.first_order import first_order_error
from expressivity.bounds.leak import (
    alpha_for_leak,
    head_leaks,
    leak,
    mass_beyond,
    radius_for,
    saturation_alpha,
)
from expressivity.bounds.worst_case import alpha_for, worst_case_error

__all__ = [
    "Deviation",
    "Row",
    "WorstRows",
    "alpha_for",
    "alpha_for_leak",
    "first_order_error",
    "head_leaks",
    "leak",
    "mass_beyond",
    "radius_for",
    "saturation_alpha",
    "worst_case_error",
]
