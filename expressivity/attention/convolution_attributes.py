"""The attributes that code written for a convolution reads off an attention layer.

Networks read attributes of their convolutions: a patch embedding casts its input to the
dtype of the weight, an audio encoder counts frames by the stride, an adapter builds a
second branch of the same geometry. A layer that replaces a convolution answers as the
convolution did.
"""

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from expressivity.errors import ConvolutionAttributeError
from expressivity.geometry import ConvGeometry
from expressivity.geometry.positions import positions
from expressivity.heads.encoding import axis_scores
from expressivity.heads.parameters import Heads
from expressivity.machine.recording import is_traced

# Attention of a head counts within so many pixels of its target. A head that gives half
# of it to its target gives less than 1e-5 to pixels beyond.
_REACH = 3


class ConvolutionAttributes(nn.Module):
    """The attributes of a ``torch.nn.Conv2d``, for a layer that replaces one.

    All of them are read-only, and none is a parameter or part of the state. A layer
    that is no convolution has no ``weight``: reading it raises an ``AttributeError``,
    so that ``getattr(layer, "weight", None)`` is ``None``.

    Example:
        >>> from expressivity import attention_from_conv
        >>> conv = nn.Conv2d(4, 8, 3, stride=2, padding=1, groups=2)
        >>> layer = attention_from_conv(conv)
        >>> layer.kernel_size, layer.stride, layer.padding, layer.groups
        ((3, 3), (2, 2), (1, 1), 2)
        >>> torch.equal(layer.weight, conv.weight)
        True
    """

    geometry: ConvGeometry
    heads: Callable[[], Heads]
    transposed = False

    @property
    def kernel_size(self) -> tuple[int, ...]:
        """Taps per axis."""
        return self.geometry.kernel_size

    @property
    def stride(self) -> tuple[int, ...]:
        """Pixels between neighbouring outputs, per axis."""
        return self.geometry.stride

    @property
    def dilation(self) -> tuple[int, ...]:
        """Pixels between neighbouring taps, per axis."""
        return self.geometry.dilation

    @property
    def padding(self) -> tuple[int, ...] | Literal["same"]:
        """Pixels on both sides of each axis; ``"same"`` if the sides differ."""
        padding = torch_padding(self.geometry)
        if padding is None:
            raise ConvolutionAttributeError(
                "padding of a convolution is alike on both sides or 'same', got "
                f"{self.geometry.padding}: read geometry.padding"
            )
        return padding

    @property
    def output_padding(self) -> tuple[int, ...]:
        """Zeros: only transposed convolutions have any."""
        return (0,) * self.geometry.axes

    @property
    def padding_mode(self) -> str:
        """What the padding holds, as torch calls it."""
        return self.geometry.padding_mode

    @property
    def weight(self) -> Tensor:
        """The convolution's weight, (out_channels, in_channels / groups, *taps).

        Each head is the tap that it attends to; gradients reach the projections. A soft
        head counts as one-hot if its tap gets more than half of its attention. The
        weight is a view where one projection is the identity and the heads are in the
        order of the taps. Otherwise every reading composes it, and writing into it
        changes nothing. For a tracer, which sees no numbers, the weight of a head that
        is no tap is NaN.

        Raises:
            ConvolutionAttributeError: If the scores depend on the tokens or on a
                table, or a head is softer or attends to no tap.
        """
        heads = self.heads()
        fault, ordered = _placement(heads, self.geometry)
        if fault is not None:
            raise ConvolutionAttributeError(f"the layer has no weight: {fault}")
        matrices = _matrices(heads)
        if not ordered:
            hits = _hits(heads, self.geometry)
            missing = ~hits.any(1)
            matrices = matrices.masked_fill(missing, torch.nan)
            # A NaN times zero would spread to all taps.
            hits = hits | missing[:, None]
            matrices = torch.einsum("och,ht->oct", matrices, hits.to(matrices.dtype))
        weight: Tensor = matrices.unflatten(-1, self.geometry.kernel_size)
        return weight

    def __getattr__(self, name: str) -> Tensor | nn.Module:
        """Return a parameter, buffer or child, or raise what a property raised."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            # Python comes here after a property raised an AttributeError, and torch
            # would only say that there is no such attribute.
            attribute = getattr(type(self), name, None)
            if isinstance(attribute, property):
                value: Tensor = attribute.__get__(self)
                return value
            raise

    def __setattr__(self, name: str, value: object) -> None:
        """Set an attribute that does not follow from others."""
        attribute = getattr(type(self), name, None)
        if isinstance(attribute, property) and attribute.fset is None:
            raise ConvolutionAttributeError(
                f"{name} of an attention layer follows from its heads and its geometry "
                "and cannot be set: set it in the convolution, before it is converted"
            )
        super().__setattr__(name, value)  # type: ignore[arg-type]


def torch_padding(geometry: ConvGeometry) -> tuple[int, ...] | Literal["same"] | None:
    """Return the padding of a geometry as ``torch.nn.Conv2d`` spells it.

    That is pixels per axis, ``"same"`` if the sides differ, ``None`` if neither fits.

    Example:
        >>> torch_padding(ConvGeometry.create((3, 2), padding="same"))
        'same'
    """
    if all(before == after for before, after in geometry.padding):
        return tuple(before for before, _ in geometry.padding)
    dense = all(step == 1 for step in geometry.stride)
    return "same" if dense and geometry.padding == geometry.same_padding else None


def _matrices(heads: Heads) -> Float[Tensor, "out_channels channels_of_group heads"]:
    """Return W_outᵀ W_valᵀ of every head; a view if one of them is the identity."""
    projections = heads.projections
    if len(projections) == 1:
        return projections[0].flatten(0, 1)
    return heads.matrices().movedim(0, -1).flatten(0, 1)


def _placement(heads: Heads, geometry: ConvGeometry) -> tuple[str | None, bool]:
    """Return why the heads are no taps, and whether they are the taps in their order.

    Without numbers, as for tracers, both are unknown.
    """
    if heads.gated is not None:
        return "its heads attend to what tokens hold: see without_content()", False
    if heads.table is not None:
        return "its heads attend by tables: use conv_from_attention", False
    if is_traced():
        return None, False
    sources, content = [heads.alpha, heads.centers], heads.content
    if content is not None:
        sources += [content.query_weight, content.content_bias]
    try:
        return heads.memo.get(
            ("placement on taps", geometry), sources, lambda: _fault(heads, geometry)
        )
    except RuntimeError:  # vmap, or no memory behind the parameters
        return None, False


def _fault(heads: Heads, geometry: ConvGeometry) -> tuple[str | None, bool]:
    """Return what :func:`_placement` does, from the numbers of the parameters."""
    content = heads.content
    if content is not None and bool(
        content.query_weight.any() or content.content_bias.any()
    ):
        return "its scores depend on the tokens", False
    hits = _hits(heads, geometry)
    spare = ~hits.any(1)
    if bool(spare.any()):
        head = int(spare.int().argmax())
        fault = (
            f"{int(spare.sum())} of {len(spare)} heads give no tap more than half of "
            f"their attention, the first is head {head} with "
            f"alpha={float(heads.alpha[head]):.4g} around "
            f"{heads.centers[head].tolist()}: raise alpha"
        )
        return fault, False
    taps = torch.eye(hits.shape[1], dtype=torch.bool, device=hits.device)
    return None, torch.equal(hits, taps)


def _hits(heads: Heads, geometry: ConvGeometry) -> Tensor:
    """Return which head gives which tap more than half of its attention."""
    alpha, centers = heads.alpha.detach().float(), heads.centers.detach().float()
    nearest = centers.round()
    near = positions(range(-_REACH, _REACH + 1), centers.device)
    scores = axis_scores(centers - nearest, near, alpha[:, None])
    share = scores.softmax(-1)[..., _REACH].prod(-1)
    taps = geometry.centers(device=centers.device)
    return (nearest[:, None] == taps).all(-1) & (share > 0.5)[:, None]
