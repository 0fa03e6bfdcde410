"""What is true, computed without this package: slow, literal, in float64."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import exp, fsum, inf, prod

import torch
from mpmath import mp
from torch import Tensor, nn
from torch.nn import functional


def exact_convolution(conv: nn.Module, x: Tensor) -> Tensor:
    """Return torch's own convolution in float64."""
    with torch.no_grad():
        return copy.deepcopy(conv).double()(x.double())


def output_scale(conv: nn.Module, x: Tensor) -> float:
    """Return the largest entry of conv(|x|) with weights |W| and bias |b|.

    Where every tap reads nothing but zero padding that is 0; then Σ|W| ‖x‖_∞.
    """
    absolute = copy.deepcopy(conv).double()
    with torch.no_grad():
        for parameter in absolute.parameters():
            parameter.abs_()
        largest = float(absolute(x.double().abs()).max())
        return largest or float(absolute.weight.sum() * x.abs().max())


def paddings(conv: nn.Module) -> list[tuple[int, int]]:
    """Return the pixels that torch adds before and after each axis."""
    if conv.padding == "valid":
        return [(0, 0) for _ in conv.kernel_size]
    if conv.padding == "same":
        totals = [
            d * (k - 1) for k, d in zip(conv.kernel_size, conv.dilation, strict=True)
        ]
        return [(total // 2, total - total // 2) for total in totals]
    return [(pad, pad) for pad in conv.padding]


@dataclass(frozen=True)
class Content:
    """The content terms of equation 8, one matrix a head, as the paper has them."""

    query: Tensor  # W_qry, (heads, channels, key_dim)
    key: Tensor  # W_key, (heads, channels, key_dim)
    position_key: Tensor  # Ŵ_key, (heads, axes + 1, key_dim)
    bias: Tensor  # u, (heads, key_dim)


@dataclass(frozen=True)
class LiteralAttention:
    """Equation 8 in nested loops, on the canvas and queries of a convolution.

    With ``alpha`` and ``centers`` left out all heads sit on the taps of the kernel;
    with ``matrices`` left out they carry the taps' weights.
    """

    conv: nn.Module
    alpha: Sequence[float]
    centers: Sequence[Sequence[float]]
    matrices: Tensor  # W_val W_out, (heads, channels, outputs)
    content: Content | None = None
    tables: Sequence[Mapping[tuple[int, ...], float]] | None = None  # by displacement

    def __call__(self, x: Tensor) -> Tensor:
        """Return the output for a batch."""
        canvas = self._canvas(x.double())
        queries = self._queries(x.shape[2:])
        keys = list(product(*map(range, canvas.shape[2:])))
        outputs = []
        for query in product(*queries):
            scores = [
                [self._position_score(head, query, key) for key in keys]
                for head in range(len(self.alpha))
            ]
            outputs.append(
                torch.stack([
                    self._attend(image, query, keys, scores) for image in canvas
                ])
            )
        output = torch.stack(outputs, -1).unflatten(-1, [len(axis) for axis in queries])
        if self.conv.bias is not None:
            ones = [1] * len(queries)
            output = output + self.conv.bias.double().reshape(-1, *ones)
        return output.detach()

    def _attend(
        self,
        image: Tensor,
        query: Sequence[int],
        keys: list[tuple[int, ...]],
        position_scores: Sequence[Sequence[float]],
    ) -> Tensor:
        """Return Σ_h Σ_k softmax(score)_k x_k W_h for one query."""
        total = torch.zeros(self.matrices.shape[2], dtype=torch.float64)
        pixels = image.flatten(1)  # in the order of the keys
        for head, scores in enumerate(map(list, position_scores)):
            if self.content is not None:
                for place, key in enumerate(keys):
                    scores[place] += self._content_score(
                        self.content, head, image, query, key
                    )
            largest = max(scores)
            weights = [exp(score - largest) for score in scores]
            mean = pixels @ torch.tensor(weights, dtype=torch.float64) / fsum(weights)
            total += mean @ self.matrices[head]
        return total

    def _position_score(
        self, head: int, query: Sequence[int], key: Sequence[int]
    ) -> float:
        vector = [
            -self.alpha[head] * f for f in (1, *(-2 * c for c in self.centers[head]))
        ]
        encoding = self._encoding(query, key)
        score = fsum(v * r for v, r in zip(vector, encoding, strict=True))
        if self.tables is not None:
            delta = tuple(k - q for k, q in zip(key, query, strict=True))
            score += self.tables[head].get(delta, -inf)
        return score

    def _content_score(
        self,
        content: Content,
        head: int,
        image: Tensor,
        query: Sequence[int],
        key: Sequence[int],
    ) -> float:
        nearest = [
            min(max(q, 0), tokens - 1)
            for q, tokens in zip(query, image.shape[1:], strict=True)
        ]
        asking, asked = image[(slice(None), *nearest)], image[(slice(None), *key)]
        relative = torch.tensor(self._encoding(query, key), dtype=torch.float64)
        projected = asking @ content.query[head]
        terms = (
            projected @ (asked @ content.key[head]),
            projected @ (relative @ content.position_key[head]),
            content.bias[head] @ (asked @ content.key[head]),
        )
        return float(sum(terms))

    @staticmethod
    def _encoding(query: Sequence[int], key: Sequence[int]) -> list[float]:
        """Return (‖k − q‖², k − q)."""
        delta = [k - q for k, q in zip(key, query, strict=True)]
        return [fsum(d * d for d in delta), *delta]

    def _canvas(self, x: Tensor) -> Tensor:
        """Add padding tokens with torch's own padding; none for replicate."""
        mode = self.conv.padding_mode
        if mode == "replicate":
            return x
        widths = [width for pair in reversed(paddings(self.conv)) for width in pair]
        return functional.pad(x, widths, "constant" if mode == "zeros" else mode)

    def _queries(self, size: Sequence[int]) -> list[list[int]]:
        """Return the positions of the kernel's middle, in pixels of the canvas."""
        conv, axes = self.conv, []
        for axis, (before, after) in enumerate(paddings(conv)):
            extent = conv.dilation[axis] * (conv.kernel_size[axis] - 1) + 1
            first = -before if conv.padding_mode == "replicate" else 0
            corners = range(size[axis] + before + after - extent + 1)
            steps = corners[:: conv.stride[axis]]
            axes.append([first + corner + (extent - 1) // 2 for corner in steps])
        return axes


def literal_conversion(conv: nn.Module, alpha: float) -> LiteralAttention:
    """Return Theorem 1, literally: one head a tap, centered on it."""
    taps = list(product(*map(range, conv.kernel_size)))
    centers = [
        [
            d * tap - d * (k - 1) // 2
            for tap, k, d in zip(spot, conv.kernel_size, conv.dilation, strict=True)
        ]
        for spot in taps
    ]
    matrices = torch.stack([full_matrix(conv, tap) for tap in taps])
    return LiteralAttention(conv, [alpha] * len(taps), centers, matrices)


def full_matrix(conv: nn.Module, tap: tuple[int, ...]) -> Tensor:
    """Return the matrix of one tap, (channels, outputs), zeros between groups."""
    weight = conv.weight.detach().double()
    inputs, outputs = conv.in_channels // conv.groups, len(weight) // conv.groups
    matrix = torch.zeros(conv.in_channels, len(weight), dtype=torch.float64)
    for output, channel in product(range(len(weight)), range(inputs)):
        source = output // outputs * inputs + channel
        matrix[source, output] = weight[(output, channel, *tap)]
    return matrix


def operator(module: nn.Module, channels: int, size: Sequence[int]) -> Tensor:
    """Return the matrix of an affine module, without its constant.

    Its columns are the images of the basis: (in pixels, out_channels, out pixels).
    """
    pixels = channels * torch.Size(size).numel()
    basis = torch.eye(pixels, dtype=torch.float64).reshape(pixels, channels, *size)
    with torch.no_grad():
        constant = module(torch.zeros_like(basis[:1]))
        return (module(basis) - constant).flatten(2)


def brute_force_worst_case(
    first: nn.Module, second: nn.Module, channels: int, size: Sequence[int]
) -> Tensor:
    """Return the largest ℓ₁ norm of a row of first − second, per output channel."""
    rows = operator(first, channels, size) - operator(second, channels, size)
    return rows.abs().sum(0).amax(1)


def exact_row_norms(attention: nn.Module, conv: nn.Module, size: Sequence[int]) -> list:
    """Return the largest ℓ₁ norm of a row of attention − conv, per output channel.

    In 60 digits, from the parameters as they are stored.
    """
    literal = LiteralAttention(conv, [], [], torch.empty(0))
    queries = list(product(*literal._queries(size)))
    sources = literal._canvas(
        torch.arange(1.0, 1 + prod(size), dtype=torch.float64).reshape(1, 1, *size)
    )[0, 0]
    keys = list(product(*map(range, sources.shape)))
    parts = attention.heads().matrices().shape
    value, output = (
        None if w is None else w.detach().double()
        for w in (attention.value_weight, attention.output_weight)
    )
    with mp.workdps(60):
        heads = [_composed(value, output, head, parts[1:]) for head in range(parts[0])]
        taps = conv.weight.detach().double()
        largest = [mp.mpf(0)] * len(taps)
        for query in queries:
            row = _attention_row(attention, query, keys)
            corner = [
                q - (d * (k - 1)) // 2
                for q, d, k in zip(query, conv.dilation, conv.kernel_size, strict=True)
            ]
            for channel in range(len(taps)):
                entries = _row(
                    channel, row, heads, taps[channel], corner, conv, sources
                )
                norm = mp.fsum(abs(entry) for entry in entries.values())
                largest[channel] = max(largest[channel], norm)
        return largest


def _composed(
    value: Tensor | None, output: Tensor | None, head: int, shape: Sequence[int]
) -> list[list[object]]:
    """Return W_outᵀ W_valᵀ of a head, (out_channels, channels of a group)."""
    groups, outputs, channels = shape
    rows = []
    for group, out in product(range(groups), range(outputs)):
        if value is None:
            rows.append([mp.mpf(w) for w in output[group, out, :, head].tolist()])
        elif output is None:
            rows.append([mp.mpf(w) for w in value[group, out, :, head].tolist()])
        else:
            outer = [mp.mpf(w) for w in output[group, out, :, head].tolist()]
            inner = value[group, :, :, head].tolist()
            rows.append([
                mp.fsum(o * mp.mpf(row[c]) for o, row in zip(outer, inner, strict=True))
                for c in range(channels)
            ])
    return rows


def _attention_row(
    attention: nn.Module, query: Sequence[int], keys: Sequence[Sequence[int]]
) -> list[list[object]]:
    """Return the softmax over all keys for one query, per head."""
    rows = []
    for alpha, center in zip(
        attention.alpha.tolist(), attention.centers.tolist(), strict=True
    ):
        target = [q + mp.mpf(c) for q, c in zip(query, center, strict=True)]
        scores = [
            -mp.mpf(alpha)
            * mp.fsum((k - t) ** 2 for k, t in zip(key, target, strict=True))
            for key in keys
        ]
        largest = max(scores)
        weights = [mp.exp(score - largest) for score in scores]
        total = mp.fsum(weights)
        rows.append([weight / total for weight in weights])
    return rows


def _row(
    channel: int,
    attended: list[list[object]],
    heads: list[list[list[object]]],
    taps: Tensor,
    corner: Sequence[int],
    conv: nn.Module,
    sources: Tensor,
) -> dict[tuple[int, int], object]:
    """Return attention − conv of one output, by input channel and pixel."""
    entries: dict[tuple[int, int], object] = {}

    def add(inner: int, source: int, weight: object) -> None:
        if source > 0:  # 0 is a token that holds zeros
            entries[inner, source] = entries.get((inner, source), mp.mpf(0)) + weight

    pixels = [int(s) for s in sources.flatten().tolist()]
    for inner in range(taps.shape[0]):
        for row, matrix in zip(attended, heads, strict=True):
            for source, probability in zip(pixels, row, strict=True):
                add(inner, source, matrix[channel][inner] * probability)
        for tap in product(*map(range, conv.kernel_size)):
            place = [
                min(max(c + d * t, 0), tokens - 1)  # off the canvas: replicated
                for c, d, t, tokens in zip(
                    corner, conv.dilation, tap, sources.shape, strict=True
                )
            ]
            add(inner, int(sources[tuple(place)]), -mp.mpf(float(taps[(inner, *tap)])))
    return entries
