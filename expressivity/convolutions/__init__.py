"""What counts as a convolution?"""

from expressivity.convolutions.gate import DTYPES, plain_convolution
from expressivity.convolutions.inheritance import (
    changed_names,
    inherits_forward,
    require_no_additions,
)
from expressivity.convolutions.kernel import Kernel
from expressivity.convolutions.plain import (
    CONVOLUTIONS,
    FUNCTIONS,
    TRANSPOSED,
    build_convolution,
    convolve,
    tap_matrices,
)
from expressivity.convolutions.pointwise import is_product_faster, prepared_product

__all__ = [
    "CONVOLUTIONS",
    "DTYPES",
    "FUNCTIONS",
    "TRANSPOSED",
    "Kernel",
    "build_convolution",
    "changed_names",
    "convolve",
    "inherits_forward",
    "is_product_faster",
    "plain_convolution",
    "prepared_product",
    "require_no_additions",
    "tap_matrices",
]
