"""Where heads look: the pixel nearest to a center, and the attention off it."""

from jaxtyping import Float
from torch import Tensor

from expressivity.attention import RelativeSelfAttention
from expressivity.geometry.positions import positions
from expressivity.heads.encoding import axis_scores

# Pixels to both sides of the nearest one. A head with α = 0.01 has 2 % of its attention
# further off along an axis.
_REACH = 16


def attended(
    layer: RelativeSelfAttention,
) -> tuple[Float[Tensor, "heads axes"], Float[Tensor, " heads"]]:
    """Return the pixel that each head attends to most, and the attention off it.

    Both are those far from all borders, of positions alone. Pixels are displacements
    from the query; the attention off them is differentiable in α, Δ and tables.

    Args:
        layer: The layer.
    """
    if layer.table is not None:
        return _in_tables(layer)
    centers = layer.centers
    pixels = centers.detach().round()
    near = positions(range(-_REACH, _REACH + 1), centers.device, centers.dtype)
    scores = axis_scores(centers - pixels, near, layer.alpha[:, None])
    on_pixel = scores.softmax(-1)[..., _REACH].prod(-1)
    return pixels, 1 - on_pixel


def tap_distances(
    layer: RelativeSelfAttention, places: Float[Tensor, "heads axes"]
) -> Float[Tensor, " heads"]:
    """Return ‖place − tap‖² to the nearest tap of the kernel, in pixels²."""
    taps = layer.geometry.centers(device=places.device).to(places.dtype)
    return (places[:, None] - taps).square().sum(-1).amin(1)


def _in_tables(
    layer: RelativeSelfAttention,
) -> tuple[Float[Tensor, "heads axes"], Float[Tensor, " heads"]]:
    table = layer.heads().table
    if table is None:
        raise AttributeError("table")
    places = table.window.displacements(layer.centers.device).to(layer.centers.dtype)
    gaps = (places - layer.centers[:, None]).square().sum(-1)
    scores = table.scores.flatten(1) - layer.alpha[:, None] * gaps
    probabilities = scores.softmax(-1)
    index = probabilities.detach().argmax(-1, keepdim=True)
    # One less the largest would lose digits where that is nearly all.
    return places[index[:, 0]], probabilities.scatter(1, index, 0.0).sum(-1)
