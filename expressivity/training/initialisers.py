"""Initialisations of vision transformers beside ours, written anew from their papers.

All of them change queries and keys of the blocks, and positions; what else they change
is said below. Compare them with :func:`expressivity.stock.init_vit` on one model.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from expressivity.checks import check_positive
from expressivity.geometry.positions import grid_positions
from expressivity.stock.encoder import EncoderBlock, encoder_blocks
from expressivity.stock.init_vit import (
    init_vit,
    random_shifts,
    size_of_vit,
    vit_positions,
)
from expressivity.stock.vit_stream import shifted_maps

Initialiser = Callable[..., None]


def leave(
    model: nn.Module,
    *,
    size: Sequence[int] | None = None,
    generator: torch.Generator | None = None,
) -> None:
    """Leave a model as its library made it: the default to compare with."""
    encoder_blocks(model)


def shifts(
    model: nn.Module,
    *,
    size: Sequence[int] | None = None,
    generator: torch.Generator | None = None,
) -> None:
    """Call :func:`expressivity.stock.init_vit` with its default options."""
    init_vit(model, size=size, generator=generator)


@torch.no_grad()
def mimetic(
    model: nn.Module,
    *,
    size: Sequence[int] | None = None,
    generator: torch.Generator | None = None,
    query_key: tuple[float, float] = (0.7, 0.7),
    value_output: tuple[float, float] = (0.4, 0.4),
) -> None:
    """Let products of weights look as those of trained transformers do.

    W_qry W_keyᵀ ≈ αZ + βI in every head, so that tokens attend to those alike, and
    W_val W_out ≈ αZ − βI, all heads together; Z is normal with variance 1/width.
    Positions are sinusoidal.

    Args:
        model: A vision transformer, changed in place.
        size: Patches per axis; by default as for ``init_vit``.
        generator: What Z is drawn from.
        query_key: α and β of the first product.
        value_output: α and β of the second.

    Reference:
        Trockman and Kolter (2023), Mimetic Initialization of Self-Attention Layers.
    """
    _write_sinusoids(model, size)
    for block in encoder_blocks(model):
        width = block.query.shape[2]
        eye = torch.eye(width, dtype=torch.float64, device="cpu")

        def noise(width: int = width) -> Tensor:
            shape, kind = (width, width), torch.float64
            draw = torch.randn(shape, generator=generator, dtype=kind, device="cpu")
            return draw.div(width**0.5)

        for head in range(block.heads):
            product = query_key[0] * noise() + query_key[1] * eye
            _write_product(block, head, product)
        product = value_output[0] * noise() - value_output[1] * eye
        left, strength, right = torch.linalg.svd(product)
        root = strength.sqrt()
        shape = (block.heads, -1)
        block.value.copy_((root[:, None] * right).unflatten(0, shape))
        block.output.copy_((left * root).unflatten(1, shape))


@torch.no_grad()
def structured(
    model: nn.Module,
    *,
    size: Sequence[int] | None = None,
    generator: torch.Generator | None = None,
    kernel_size: int = 3,
    strength: float = 4.0,
) -> None:
    """Fit queries and keys to random shifts, by a truncated pseudo-inverse.

    For the matrix H of a shift and normalised positions P the product W_qry W_keyᵀ is
    what is left of c P⁺ H P⁺ᵀ in as many dimensions as a head has. c makes the largest
    score beside the mean of its row ``strength``. Positions are normal: sinusoidal ones
    of long wavelengths hardly differ from token to token, so that their pseudo-inverse
    is badly conditioned and the weights come out far too large.

    Args:
        model: A vision transformer, changed in place.
        size: Patches per axis; by default as for ``init_vit``.
        generator: What shifts are drawn from.
        kernel_size: Taps per axis of the kernel that shifts are of.
        strength: How far the score of a shift is above the mean, on average.

    Raises:
        ArgumentError: If the strength is not positive.

    Reference:
        Zheng et al. (2025), Structured Initialization for Vision Transformers.
    """
    strength = check_positive("strength", strength)
    rows = vit_positions(model)
    size, prefix = size_of_vit(model, rows, size)
    blocks = encoder_blocks(model)
    own = random_shifts(blocks, kernel_size, axes=len(size), generator=generator)
    position = torch.randn(
        rows[int(prefix) :].shape,
        generator=generator,
        dtype=torch.float64,
        device="cpu",
    )
    rows[int(prefix) :] = position.to(rows)
    normalised = nn.functional.layer_norm(position, position.shape[1:])
    inverse = torch.linalg.pinv(normalised)
    for block, shifts_of_block in zip(blocks, own, strict=True):
        for head, wanted in enumerate(shifted_maps(size, shifts_of_block)):
            product = inverse @ wanted @ inverse.mT
            scores = normalised @ product @ normalised.mT
            excess = (scores * wanted).sum(1) - scores.mean(1)
            _write_product(block, head, product * strength / excess.mean())


INITIALISERS: dict[str, Initialiser] = {
    "default": leave,
    "mimetic": mimetic,
    "structured": structured,
    "shifts": shifts,
}
"""What a comparison runs, by name; each takes a model, ``size=`` and ``generator=``."""


def _write_product(
    block: EncoderBlock, head: int, product: Float[Tensor, "width width"]
) -> None:
    """Write W_qry and W_key of one head so that scores are x_q product x_kᵀ."""
    left, strength, right = torch.linalg.svd(product / block.scale)
    dimensions = block.query.shape[1]
    root = strength[:dimensions].sqrt()[:, None]
    block.query[head] = (root * left.mT[:dimensions]).to(block.query)
    block.key[head] = (root * right[:dimensions]).to(block.key)
    for bias in (block.query_bias, block.key_bias):
        if bias is not None:
            bias[head] = 0


def _write_sinusoids(model: nn.Module, size: Sequence[int] | None) -> None:
    """Write sinusoidal positions of all axes."""
    position = vit_positions(model)
    size, prefix = size_of_vit(model, position, size)
    width = position.shape[1]
    count = width // (2 * len(size))
    rates = 10_000.0 ** (
        -torch.arange(count, dtype=torch.float64, device="cpu") / count
    )
    places = grid_positions(
        [range(n) for n in size], torch.device("cpu"), torch.float64
    )
    angles = (places[..., None] * rates).flatten(1)
    code = torch.cat([angles.sin(), angles.cos()], 1)
    code = nn.functional.pad(code, (0, width - code.shape[1]))
    position[int(prefix) :] = code.to(position)
    position[: int(prefix)] = 0
