"""Any convolution as a multi-head self-attention layer, with the error stated.

The public names; nobody inside the package imports from here.
"""

from expressivity.attention import RelativeSelfAttention as RelativeSelfAttention
from expressivity.attention import explain as explain
from expressivity.bounds import (
    alpha_for as alpha_for,
)
from expressivity.bounds import (
    first_order_error as first_order_error,
)
from expressivity.bounds import (
    leak as leak,
)
from expressivity.bounds import (
    saturation_alpha as saturation_alpha,
)
from expressivity.bounds import (
    worst_case_error as worst_case_error,
)
from expressivity.constructor import (
    NearestConvolution as NearestConvolution,
)
from expressivity.constructor import (
    attention_from_conv as attention_from_conv,
)
from expressivity.constructor import (
    conv_from_attention as conv_from_attention,
)
from expressivity.constructor import (
    conversion_error as conversion_error,
)
from expressivity.constructor import (
    truncation_error as truncation_error,
)
from expressivity.convolutions import plain_convolution as plain_convolution
from expressivity.geometry import ConvGeometry as ConvGeometry

__version__ = "0.1.0"
