"""What counts as a convolution here, and what its weight says."""

from expressivity.convolutions.gate import DTYPES, plain_convolution
from expressivity.convolutions.inheritance import (
    changed_names,
    inherits_forward,
    require_no_additions,
)
from expressivity.convolutions.plain import (
    CONVOLUTIONS,
    TRANSPOSED,
    batched_input,
    build_convolution,
    convolve,
    tap_matrices,
)

__all__ = [
    "CONVOLUTIONS",
    "DTYPES",
    "TRANSPOSED",
    "batched_input",
    "build_convolution",
    "changed_names",
    "convolve",
    "inherits_forward",
    "plain_convolution",
    "require_no_additions",
    "tap_matrices",
]
