"""How far is a layer from its convolution? Numbers, before any input."""

from expressivity.accuracy.deviation import Deviation, Row, WorstRows
from expressivity.accuracy.first_order import first_order_error
from expressivity.accuracy.layer import conversion_error
from expressivity.accuracy.worst_case import alpha_for, worst_case_error

__all__ = [
    "Deviation",
    "Row",
    "WorstRows",
    "alpha_for",
    "conversion_error",
    "first_order_error",
    "worst_case_error",
]
