"""The numbers of the page, computed by the package: what its readings are tested with.

One function a reading of ``page/math/readings.js``, by the same name but for its
spelling. None of them shares a formula with the page: rows come from ball arithmetic,
attention from the dense layer, the worst case from the search of certificates.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

import torch
from torch import Tensor

from expressivity.accuracy.deviation import Deviation
from expressivity.accuracy.first_order import first_order
from expressivity.accuracy.rows.axis import AxisHeads, together, view_of
from expressivity.conversion.options import Options
from expressivity.conversion.to_attention import build_attention
from expressivity.explorer.subject import Subject
from expressivity.heads.leak import band_radius, leak
from expressivity.sweep import rounding_floor

Numbers = dict[str, float]


@dataclass(frozen=True, kw_only=True)
class State:
    """A state of the page.

    Attributes:
        alpha: Locality strength of all heads, 1/pixel².
        output: Which output channel.
        head: Which head.
        query: Index of an output along both axes, 0 first for a single axis.
        pixel: A pixel of the image, along both axes.
        moved: Centers of heads off their taps, in pixels.
        mode: Padding, for the reading about borders.
    """

    alpha: float
    output: int = 0
    head: int = 0
    query: tuple[int, ...] = (0, 0)
    pixel: tuple[int, ...] = (0, 0)
    moved: Mapping[int, tuple[float, ...]] = field(default_factory=dict)
    mode: str = "zeros"

    def place(self, axes: int) -> tuple[int, ...]:
        """Return the index of the output along so many axes."""
        return self.query[-axes:]


def one_head(subject: Subject, state: State) -> Numbers:
    """Return the attention of a head on the token nearest to its target, and off it."""
    off = _leak(subject, state)
    return {
        "on": 1 - off,
        "leak": off,
        "interior": leak(state.alpha, subject.kernel.geometry.axes),
    }


def seen(subject: Subject, state: State) -> Numbers:
    """Return the attention of a head on one pixel, and on all pixels of the image."""
    one = subject.one_output(state.output)
    layer = build_attention(one.kernel, Options(alpha=state.alpha))
    axes, geometry, size = len(one.size), one.kernel.geometry, one.size
    with torch.no_grad():
        for head, center in state.moved.items():
            place = torch.tensor(center, dtype=torch.float64, device="cpu")
            layer.centers[head] = place[-axes:]
        every = layer.attention_probabilities(size=size)[state.head]
    outputs, canvas = geometry.output_size(size), geometry.canvas_size(size)
    tokens = every.reshape(*outputs, -1)[state.place(axes)].reshape(canvas)
    pixel = all_pixels = tokens
    for axis in range(axes):
        source = geometry.source(size, axis)
        wanted = source == state.pixel[axis - axes]
        pixel = pixel.index_select(axis, wanted.nonzero().flatten())
        held = (source >= 0).nonzero().flatten()
        all_pixels = all_pixels.index_select(axis, held)
    return {"pixel": float(pixel.sum()), "all": float(all_pixels.sum())}


def all_heads(subject: Subject, state: State) -> Numbers:
    """Return the exact worst case, and the ℓ₁ norm of the row of one output."""
    one = subject.one_output(state.output)
    deviation = _deviation(one, state)
    place = state.place(len(one.size))
    here = deviation.row(one.size, place, 0).values.abs().sum()
    return {"worst": _worst(deviation, one), "here": float(here)}


def error_curves(subject: Subject, state: State) -> Numbers:
    """Return the error on the image, its first order, worst case, and one rounding."""
    one = subject.one_output(state.output)
    loudest = float(subject.image.double().abs().max())
    return {
        "measured": float(_errors(one, state).abs().max()),
        "predicted": float(first_order(one.kernel, one.batch, state.alpha).abs().max()),
        "worst": _worst(_deviation(one, state), one) * loudest,
        "rounding": rounding_floor(one.conv, one.batch, subject.conv.weight.dtype),
    }


def two_paths(subject: Subject, state: State) -> Numbers:
    """Return the largest output of the dense layer and of the separable one."""
    # In exact arithmetic there is no gap between the two.
    one = subject.one_output(state.output)
    layer = build_attention(one.kernel, Options(alpha=state.alpha))
    outputs = []
    with torch.no_grad():
        for strategy in ("dense", "separable"):
            layer.strategy = strategy
            outputs.append(layer(one.batch))
    heads, smoothing = (float(output.abs().max()) for output in outputs)
    return {"heads": heads, "smoothing": smoothing, "gap": 0.0}


def border(subject: Subject, state: State) -> Numbers:
    """Return where a head ends with other padding, and the error of the output."""
    padded = subject.padded_as(state.mode)
    one = padded.one_output(state.output)
    layer = build_attention(one.kernel, Options(alpha=state.alpha))
    geometry, size = one.kernel.geometry, one.size
    outputs, canvas = geometry.output_size(size), geometry.canvas_size(size)
    with torch.no_grad():
        every = layer.attention_probabilities(size=size)
    seen = every[state.head].reshape(*outputs, -1)[state.place(len(size))]
    places = torch.unravel_index(seen.argmax(), canvas)
    sources = [
        float(geometry.source(size, axis)[place]) for axis, place in enumerate(places)
    ]
    row, column = [0.0, *sources][-2:]
    off = _leak(padded, state)
    error = float(_errors(one, state).reshape(outputs)[state.place(len(size))].abs())
    return {"row": row, "column": column, "on": 1 - off, "error": error}


def painted(subject: Subject, state: State) -> Numbers:
    """Return the largest error on the image, its bound, and the worst image's error."""
    one = subject.one_output(state.output)
    attained = float(_errors(one, state).abs().max())
    worst = _worst(_deviation(one, state), one)
    return {"attained": attained, "bound": worst, "worst": worst}


def learned_head(subject: Subject, alpha: float, center: Sequence[float]) -> Numbers:
    """Return circles that hold 50 and 90 % of a Gaussian, and the nearest tap."""
    taps = subject.kernel.geometry.centers().double()
    place = torch.tensor(center, dtype=torch.float64, device="cpu")[-taps.shape[1] :]
    spread = (2 * alpha) ** -0.5  # the standard deviation along each axis
    return {
        "half": spread * math.sqrt(2 * math.log(2)),
        "most": spread * math.sqrt(2 * math.log(10)),
        "away": float((taps - place).norm(dim=1).min()),
    }


READINGS: dict[str, Callable[[Subject, State], Numbers]] = {
    "oneHead": one_head,
    "seen": seen,
    "allHeads": all_heads,
    "errorCurves": error_curves,
    "twoPaths": two_paths,
    "border": border,
    "painted": painted,
}
"""By the name that the page has for a reading of a layer and a state."""


def _deviation(one: Subject, state: State) -> Deviation:
    """Return attention − convolution for one output channel."""
    kernel = one.kernel
    taps = kernel.wide_taps
    centers = kernel.geometry.centers().double()
    for head, center in state.moved.items():
        place = torch.tensor(center, dtype=torch.float64, device="cpu")
        centers[head] = place[-kernel.geometry.axes :]
    alpha = torch.full_like(centers[:, 0], state.alpha)
    return Deviation(alpha, centers, taps, taps, kernel.geometry)


def _worst(deviation: Deviation, one: Subject) -> float:
    """Return the middle of what encloses the largest row norm."""
    rows = deviation.largest(one.size)
    return float((rows.above + rows.below).max() / 2)


def _errors(one: Subject, state: State) -> Tensor:
    """Return attention − convolution at every output, heads on their taps."""
    geometry, taps = one.kernel.geometry, one.kernel.wide_taps
    band = min(max(geometry.canvas_size(one.size)), band_radius(state.alpha))
    outputs = geometry.output_size(one.size)
    along = []
    for axis, centers in enumerate(geometry.centers().mT.tolist()):
        heads = AxisHeads(
            (state.alpha,) * len(centers), tuple(centers), tuple(centers), (0,), band
        )
        along.append([
            view_of(heads, geometry, one.size, axis, place)
            for place in range(outputs[axis])
        ])
    errors = []
    for views in product(*along):
        x = one.image
        for axis, view in enumerate(views):
            x = x.index_select(
                axis + 1, torch.tensor(view.pixels, dtype=torch.long, device="cpu")
            )
        rows = together([view.rows for view in views], like=views[0].rows)
        carried = torch.einsum("hoc,cp->hp", taps, x.flatten(1))
        errors.append((rows.deviation * carried).sum())
    return torch.stack(errors)


def _leak(subject: Subject, state: State) -> float:
    """Return the attention of a head off the nearest token, in ball arithmetic."""
    geometry = subject.kernel.geometry
    tap = geometry.centers()[state.head].tolist()
    center = state.moved.get(state.head, tuple(tap))[-geometry.axes :]
    widest = max(geometry.canvas_size(subject.size))
    band = min(widest, band_radius(state.alpha))
    total = 0.0
    for axis, place in enumerate(state.place(geometry.axes)):
        limit = round(center[axis])
        heads = AxisHeads((state.alpha,), (center[axis],), (limit,), (limit,), band)
        view = view_of(heads, geometry, subject.size, axis, place)
        off = float(view.rows.off_target) / 2
        total += off * (1 - total)
    return total
