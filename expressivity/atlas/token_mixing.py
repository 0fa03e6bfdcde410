"""Weights of a perceptron over the tokens that make it a convolution.

- **linear**: GELU(x) − GELU(−x) = x exactly, so two hidden units a token make W₂ and
  W₁ any matrix A. All channels share it: the kernels k_Δ M, one spatial kernel k.
- **toothed**: where a channel holds an offset L_r beside its number x, the perceptron
  can tell the channels apart. Four hidden units a token make a tooth,

      τ(y) = −h(y + 4b) + 2h(y + 2b) − 2h(y − 2b) + h(y − 4b),  h(y) = GELU(κy) / κ,

  which is y for |y| ≤ b and 0 for |y| ≥ 5b, up to b Φ(−κb) a hinge: what stands on
  other levels, 6b apart, goes unmixed. Channel r is mixed by its own A_r.

The skip connection adds the identity, so A is the kernel's matrix less the identity.
Statement ``gelu_identity`` in ``proofs/``.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from expressivity.atlas.canvas import bare_grid
from expressivity.atlas.layers.mixer import Mlp
from expressivity.atlas.taps import full_taps, zeroed
from expressivity.convolutions import build_convolution
from expressivity.geometry.convolution import Convolution
from expressivity.geometry.grid import tokens_at
from expressivity.numbers.spans import spanning_directions

_KNOTS, _SLOPES = (-4.0, -2.0, 2.0, 4.0), (-1.0, 2.0, -2.0, 1.0)
_ULPS = 4  # of a weight that is a rounded product
SPACING = 6.0  # between the levels of teeth, in units of their bound


def linear_mlp(matrix: Float[Tensor, "features features"]) -> Mlp:
    """Return a perceptron that computes A (GELU(x) − GELU(−x)) = A x, exactly."""
    features = len(matrix)
    mlp = zeroed(Mlp(features, 2 * features))
    eye = torch.eye(features, dtype=torch.float64, device="cpu")
    with torch.no_grad():
        mlp.fc1.weight.copy_(torch.cat([eye, -eye]))
        mlp.fc2.weight.copy_(torch.cat([matrix, -matrix], 1))
    return mlp


def toothed_mlp(
    matrices: Float[Tensor, "ranks tokens tokens"],
    levels: Float[Tensor, " ranks"],
    *,
    bound: float,
    tail: float,
) -> Mlp:
    """Return a perceptron that multiplies by the matrix of the level of its input.

    Args:
        matrices: A_r, float64.
        levels: L_r, at least 6 bounds apart.
        bound: How far from its level an input is at most.
        tail: The order of a tooth's error, in units of the bound.

    Returns:
        x ↦ A_r (x − L_r) for all x whose entries are near L_r.
    """
    tokens = matrices.shape[1]
    # What a hinge leaves, Φ(−κ bound), is below the tail with this κ.
    sharpness = (1 + math.sqrt(max(-2 * math.log(tail), 0.0))) / bound
    knots = levels[:, None] + bound * torch.tensor(
        _KNOTS, dtype=torch.float64, device="cpu"
    )
    slopes = torch.tensor(_SLOPES, dtype=torch.float64, device="cpu") / sharpness
    mlp = zeroed(Mlp(tokens, knots.numel() * tokens))
    eye = torch.eye(tokens, dtype=torch.float64, device="cpu")
    with torch.no_grad():
        mlp.fc1.weight.copy_(sharpness * eye.repeat(knots.numel(), 1))
        mlp.fc1.bias.copy_(-sharpness * knots.flatten().repeat_interleave(tokens))
        blocks = slopes[:, None, None] * matrices[:, None]
        mlp.fc2.weight.copy_(torch.cat([*blocks.flatten(0, 1)], 1))
    return mlp


def spatial_factors(
    conv: Convolution,
) -> tuple[
    Float[Tensor, "taps ranks"], Float[Tensor, "ranks out_channels in_channels"]
]:
    """Return spatial kernels f and matrices B with W_Δ = Σ_r f_r(Δ) B_r.

    Args:
        conv: The convolution; groups make block-diagonal matrices.

    Returns:
        As many as the taps' matrices span dimensions, ρ, up to rounding in the dtype of
        the weights, relative to each spatial kernel; at least one; float64, on the CPU.
    """
    taps = full_taps(conv).cpu()
    unfolding = taps.flatten(1)
    rounding = _ULPS * torch.finfo(conv.weight.dtype).eps
    factors = spanning_directions(unfolding, rounding)
    if not factors.shape[1]:
        factors = torch.ones_like(unfolding[:, :1])
    return factors, (factors.mT @ unfolding).unflatten(1, taps.shape[1:])


def mixing_matrices(
    conv: Convolution, size: tuple[int, ...], factors: Float[Tensor, "taps ranks"]
) -> Float[Tensor, "ranks tokens tokens"]:
    """Return matrices over the tokens that a skip connection makes convolutions.

    Args:
        conv: How it strides, pads and dilates; padding needs no tokens.
        size: Pixels per axis of the input.
        factors: Spatial kernels.

    Returns:
        One matrix a kernel, less the identity, float64; rows of tokens on which no
        output stands are zero.
    """
    grid = bare_grid(conv, size)
    tokens = math.prod(size)
    spatial = build_convolution(
        nn.Parameter(factors.mT.unflatten(1, (1, *conv.kernel_size))),
        None,
        stride=conv.stride,
        padding=conv.padding,
        dilation=conv.dilation,
        groups=1,
        padding_mode=conv.padding_mode,
    )
    eye = torch.eye(tokens, dtype=torch.float64, device="cpu")
    numbers = torch.arange(tokens, dtype=torch.float64, device="cpu")
    rows = tokens_at(grid.queries, numbers.reshape(1, 1, *size)).flatten().long()
    matrices = torch.zeros(
        factors.shape[1], tokens, tokens, dtype=torch.float64, device="cpu"
    )
    with torch.no_grad():
        responses = spatial(eye.reshape(tokens, 1, *size)).flatten(2)
    matrices[:, rows] = responses.permute(1, 2, 0)
    matrices[:, rows, rows] -= 1
    return matrices


def switched_off(channels: int) -> Mlp:
    """Return the channel mixing that adds nothing: W₄ = 0."""
    return linear_mlp(
        torch.zeros(channels, channels, dtype=torch.float64, device="cpu")
    )


def head_of(
    conv: Convolution, weight: Float[Tensor, "out_channels width"]
) -> nn.Linear:
    """Return a head with a weight, and the bias of a convolution; float64."""
    head = zeroed(nn.Linear(weight.shape[1], weight.shape[0]))
    with torch.no_grad():
        head.weight.copy_(weight)
        if conv.bias is not None:
            head.bias.copy_(conv.bias)
    return head
