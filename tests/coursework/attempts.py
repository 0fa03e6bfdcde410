"""What students hand in, right and wrong: functions of the exercise."""

import copy
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import expressivity as ex

Answer = Callable[[Any], Any]


def around(number: float, share: float = 0.01) -> tuple[float, float]:
    return number * (1 - share), number * (1 + share)


def taps(
    weight: Tensor,
    *,
    alpha: float = 20.0,
    geometry: ex.ConvGeometry | None = None,
    bias: Tensor | None = None,
) -> ex.RelativeSelfAttention:
    """Build one head a tap, by hand, in the order of the weight."""
    geometry = geometry or ex.ConvGeometry.create((3, 3), padding=1)
    outer, inner = weight.shape[:2]
    layer = ex.RelativeSelfAttention(
        inner, outer, geometry, head_dim=inner, bias=bias is not None
    )
    with torch.no_grad():
        layer.alpha.fill_(alpha)
        layer.output_weight.copy_(weight.flatten(2)[None])
    return layer


def one_head(task: Any, center: tuple[int, int], alpha: float = 20.0) -> nn.Module:
    geometry = ex.ConvGeometry.create((3, 3), padding=1)
    head = ex.RelativeSelfAttention(1, 1, geometry, num_heads=1, bias=False)
    with torch.no_grad():
        head.centers.copy_(torch.tensor([center]))
        head.alpha.fill_(alpha)
        head.output_weight.fill_(1.0)
    return head


def shift(task: Any) -> tuple[int, int]:
    row, column = task.conv.weight[0, 0].nonzero()[0].tolist()
    return row - 1, column - 1


def worst_row(task: Any, output: tuple[int, ...] | None = None) -> Tensor:
    """Return the signs of a row of attention − convolution, by default the worst."""
    shape = (1, task.conv.in_channels, *task.size)
    x = torch.zeros(shape, dtype=torch.float64, requires_grad=True)
    conv, layer = task.conv, task.layer
    wide = torch.func.functional_call(
        conv, {n: p.double() for n, p in conv.named_parameters()}, (x,)
    )
    dense = _wide(layer)(x)
    gap = (dense - wide)[0]
    rows = [torch.autograd.grad(g, x, retain_graph=True)[0] for g in gap.flatten()]
    if output is not None:
        place = output[0] * gap.shape[-1] + output[1]
        return rows[place].sign()
    return max(rows, key=lambda row: float(row.abs().sum())).sign()


def _wide(layer: nn.Module) -> nn.Module:
    wide = copy.deepcopy(layer).double()
    wide.strategy = "dense"
    return wide


def bright_pixel(task: Any) -> Tensor:
    x = torch.zeros(1, task.conv.in_channels, *task.size)
    x[:, :, task.size[0] // 2, task.size[1] // 2] = 1
    return x


def corner(task: Any) -> Tensor:
    x = torch.zeros(1, task.conv.in_channels, *task.size)
    x[:, :, 0, 0] = 1
    return x


def interior(task: Any) -> Tensor:
    x = ones(task)
    x[:, :, [0, -1]] = x[..., [0, -1]] = 0
    return x


def ones(task: Any) -> Tensor:
    return torch.ones(1, task.conv.in_channels, *task.size)


def ramp(task: Any) -> Tensor:
    row = torch.linspace(-1, 1, task.size[-1])
    return row.expand(1, task.conv.in_channels, *task.size).contiguous()


def random_signs(task: Any) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    shape = (1, task.conv.in_channels, *task.size)
    return torch.randn(shape, generator=generator).sign()


def too_large(task: Any) -> Tensor:
    return 2 * worst_row(task)


def certified(task: Any) -> Tensor:
    return ex.certify(task.layer, task.conv, size=task.size).worst_input


NOT_THE_WORST = (bright_pixel, ones, random_signs, too_large)


def alpha_of(task: Any) -> float:
    return math.exp(-task.given["alpha"])


def summed_leak(task: Any) -> tuple[float, float]:
    alpha = task.given["alpha"]
    steps = range(-6, 7)
    near = [math.exp(-alpha * (a * a + b * b)) for a in steps for b in steps]
    return around(1 - 1 / sum(near))


def vector(*factors: float) -> Answer:
    def answer(task: Any) -> list[Any]:
        alpha, row, column, *_ = task.symbols()
        return [
            factors[0] * alpha,
            factors[1] * alpha * row,
            factors[2] * alpha * column,
        ]

    return answer


def vector_without_strength(task: Any) -> list[Any]:
    _, row, column, *_ = task.symbols()
    return [-1, 2 * row, 2 * column]


def vector_by_a_trick(task: Any) -> list[Any]:
    """Put the whole score into one entry: a head must not know the displacement."""
    alpha, row, column, down, right = task.symbols()
    size = down**2 + right**2
    return [(2 * alpha * (row * down + column * right) - alpha * size) / size, 0, 0]


def matrix_vector(task: Any) -> Any:
    from sympy import Matrix

    alpha, row, column, *_ = task.symbols()
    return -alpha * Matrix([1, -2 * row, -2 * column])


def of_exp(formula: Callable[[Any], Any]) -> Answer:
    def answer(task: Any) -> Any:
        from sympy import exp

        return formula(exp(-task.symbols()[0]))

    return answer


def border_row(task: Any) -> tuple[float, float]:
    """Subtract the two convolutions as matrices."""
    zeros, replicate = task.given["zeros"], task.given["replicate"]
    images = torch.eye(36).reshape(36, 1, 6, 6)
    gap = (replicate(images) - zeros(images)).flatten(1)
    return around(float(gap.abs().sum(0).max()))


def padded_otherwise(**options: Any) -> Answer:
    def answer(task: Any) -> nn.Module:
        geometry = ex.ConvGeometry.create((3, 3), **options)
        return taps(task.conv.weight, geometry=geometry)

    return answer


def of_the_weights(formula: Callable[[Tensor, float], float]) -> Answer:
    def answer(task: Any) -> tuple[float, float]:
        conv = task.given["conv"]
        return around(formula(conv.weight.double(), task.given["tolerance"]))

    return answer


def scores(formula: Callable[[int, int], float]) -> Answer:
    def answer(task: Any) -> tuple[float, float]:
        number = formula(task.given["height"], task.given["width"])
        return number, number

    return answer


def smoothing(score: Callable[[Tensor, float], Tensor], over: int | None = 1) -> Answer:
    def answer(task: Any) -> Tensor:
        steps = torch.arange(task.tokens, dtype=torch.float64)
        weights = score(steps - steps[:, None], task.alpha).exp()
        return weights if over is None else weights / weights.sum(over, keepdim=True)

    return answer


def gaussian(distance: Tensor, alpha: float) -> Tensor:
    return -alpha * distance.square()


def same_everywhere(task: Any) -> Tensor:
    steps = torch.arange(task.tokens, dtype=torch.float64)
    weights = gaussian(steps - steps[:, None], task.alpha).exp()
    return weights / weights[task.tokens // 2].sum()


def head_of_one_axis(task: Any) -> Tensor:
    geometry = ex.ConvGeometry.create((1,))
    layer = ex.RelativeSelfAttention(1, 1, geometry, dtype=torch.float64)
    torch.nn.init.constant_(layer.alpha, task.alpha)
    return layer.attention_probabilities(size=(task.tokens,))[0]


def heads(count: int) -> Answer:
    return lambda task: (count, count)


def two_tables(task: Any, *, signs: tuple[float, ...], share: bool = True) -> nn.Module:
    geometry = ex.ConvGeometry.create((3, 3), padding=1)
    layer = ex.RelativeSelfAttention(
        1, 1, geometry, num_heads=len(signs), bias=False, dtype=torch.float64
    )
    layer.add_table(low=(-1, -1), size=(3, 3))
    weight = task.conv.weight[0, 0].double()
    parts = (weight.clamp(min=0), (-weight).clamp(min=0))
    with torch.no_grad():
        layer.alpha.zero_()
        for head, (sign, part) in enumerate(zip(signs, parts, strict=False)):
            layer.table[head] = part.log()
            layer.output_weight[..., head] = sign * (part.sum() if share else 1.0)
    return layer


def exchanged(first: tuple[int, ...], second: tuple[int, ...]) -> Answer:
    """Put ±1 on two pixels, counted from the middle, and exchange them."""

    def answer(task: Any) -> tuple[Tensor, Tensor, tuple[int, ...]]:
        middle = tuple(pixels // 2 for pixels in task.size)
        x = torch.zeros(1, *task.size, dtype=torch.float64)
        for sign, place in ((1.0, first), (-1.0, second)):
            x[(0, *(m + p for m, p in zip(middle, place, strict=True)))] = sign
        return x, -x, middle

    return answer


def best_exchange(task: Any) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    """Exchange the pixels of the largest and the smallest weight beside the query."""
    weight = task.conv.weight[0, 0].flatten().clone()
    weight[4] = weight[[0, 1, 2, 3, 5, 6, 7, 8]].median()
    high, low = int(weight.argmax()), int(weight.argmin())
    places = [(index // 3 - 1, index % 3 - 1) for index in (high, low)]
    return exchanged(*places)(task)


def beside_another_query(task: Any) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    first, second, place = exchanged((-1,), (1,))(task)
    return first, second, (place[0] + 1,)


def random_pair(task: Any) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    generator = torch.Generator().manual_seed(0)
    first, second = torch.rand(2, 1, *task.size, generator=generator)
    return first, second, tuple(pixels // 2 for pixels in task.size)


def faint_exchange(task: Any) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    first, second, place = best_exchange(task)
    return first / 8, second / 8, place


def ordered_taps(order: Callable[[Tensor], Tensor]) -> Answer:
    """Read the heads in the order that they have."""

    def answer(task: Any) -> nn.Module:
        conv = nn.Conv2d(2, 2, 3, padding=1, bias=False)
        weight = torch.zeros(2, 2, 3, 3)
        matrices = task.layer.output_weight[0]
        for head, place in enumerate(task.layer.centers.round().long().tolist()):
            weight[:, :, place[0] + 1, place[1] + 1] = matrices[..., head]
        with torch.no_grad():
            conv.weight.copy_(order(weight))
        return conv

    return answer


def as_they_come(task: Any) -> nn.Module:
    conv = nn.Conv2d(2, 2, 3, padding=1, bias=False)
    with torch.no_grad():
        conv.weight.copy_(task.layer.output_weight[0].unflatten(-1, (3, 3)))
    return conv
