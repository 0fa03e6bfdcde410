"""What counts as a convolution here, and what its weight says."""

from expressivity.convolutions.gate import DTYPES, plain_convolution
from expressivity.convolutions.inheritance import inherits_forward
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
    "convolve",
    "inherits_forward",
    "plain_convolution",
    "tap_matrices",
]
