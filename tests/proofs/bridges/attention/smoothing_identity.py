"""The dense layer against torch's convolution of a canvas smoothed by the formula."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import product
from random import Random
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from expressivity.conversion import attention_from_conv
from expressivity.geometry import ConvGeometry
from proofs.engine import Formula
from tests.cases import BASE, BASE_3D, RandomChooser, choose_case
from tests.oracles import output_scale

STRENGTHS = 0.4, 1.3  # of the heads, in turn


def check(formulas: Mapping[str, Formula]) -> None:
    """Compare positions and outputs over random options of convolutions."""
    chooser = RandomChooser(Random(0))
    cases = [
        *(choose_case(chooser) for _ in range(8)),
        replace(BASE, stride=(1, 3), dilation=(2, 1), groups=2, padding=(1, 2)),
        replace(BASE, padding_mode="replicate", padding=7),
        replace(BASE_3D, stride=(1, 2, 3), groups=2),
    ]
    functions = {
        name: formula.function("numpy" if name == "weight" else "math")
        for name, formula in formulas.items()
    }
    for case in cases:
        conv, x = case.conv(), case.input()
        geometry = ConvGeometry.from_conv(conv)
        _check_positions(geometry, case.size, functions)
        with torch.no_grad():
            attention = attention_from_conv(conv, alpha=1.0, strategy="dense")
            for first, alpha in enumerate(STRENGTHS):
                attention.alpha[first::2] = alpha
            found = attention(x)
            expected = _convolved(conv, geometry, x, functions["weight"])
        scale = output_scale(conv, x) + 1
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-14 * scale)


def _check_positions(
    geometry: ConvGeometry, size: tuple[int, ...], functions: dict[str, Callable]
) -> None:
    """Compare queries and centers, and what torch's convolution reads."""
    query, center, target = (functions[n] for n in ("query", "center", "target"))
    outputs = list(map(range, geometry.output_size(size)))
    options = zip(geometry.stride, geometry.dilation, geometry.anchor, strict=True)
    queries = geometry.queries(size)
    shares = []
    for axis, (stride, dilation, anchor) in enumerate(options):
        taps, origin = range(geometry.kernel_size[axis]), _origin(geometry, axis)
        asked = [query(n, stride, anchor, origin) for n in outputs[axis]]
        assert list(queries[axis]) == asked
        shares.append([center(u, dilation, anchor) for u in taps])
        places = torch.tensor(geometry.targets(size)[axis]).double()
        reading = torch.eye(len(taps), dtype=torch.float64)[:, None]
        read = functional.conv1d(
            places[None, None], reading, stride=stride, dilation=dilation
        )
        wanted = [
            [target(n, u, stride, dilation, origin) for n in outputs[axis]]
            for u in taps
        ]
        assert read[0].tolist() == wanted
    assert geometry.centers().tolist() == [list(c) for c in product(*shares)]


def _convolved(
    conv: Any, geometry: ConvGeometry, x: Tensor, weight: Callable
) -> Tensor:
    """Return the sum, over classes of heads, of a convolution of their own canvas."""
    # Zero tokens are not laid out: their columns are left out of the matrices.
    zeros = geometry.padding_mode == "zeros"
    tokens = x if zeros else geometry.canvas(x)
    convolution = (functional.conv1d, functional.conv2d, functional.conv3d)
    total = 0
    for first, alpha in enumerate(STRENGTHS):
        smoothed = tokens
        for axis, places in enumerate(geometry.targets(x.shape[2:])):
            skipped = geometry.token_padding[axis][0] if zeros else 0
            keys = range(skipped, skipped + tokens.shape[2 + axis])
            canvas = geometry.canvas_size(x.shape[2:])[axis]
            matrix = _matrix(weight, alpha, places, keys, canvas)
            moved = smoothed.movedim(2 + axis, -1) @ matrix.mT
            smoothed = moved.movedim(-1, 2 + axis)
        taps = torch.zeros_like(conv.weight).flatten(2)
        taps[..., first::2] = conv.weight.flatten(2)[..., first::2]
        total = total + convolution[geometry.axes - 1](
            smoothed,
            taps.reshape(conv.weight.shape),
            None if first else conv.bias,
            geometry.stride,
            0,
            geometry.dilation,
            conv.groups,
        )
    return total


def _matrix(
    weight: Callable, alpha: float, places: range, keys: range, canvas: int
) -> Tensor:
    """Return what each place takes from each key, along one axis."""
    with np.errstate(over="raise", invalid="raise"):
        entries = weight(alpha, np.array(places)[:, None], np.array(keys), canvas)
    # An edited formula may depend on neither.
    entries = np.broadcast_to(entries, (len(places), len(keys)))
    return torch.tensor(entries, dtype=torch.float64)


def _origin(geometry: ConvGeometry, axis: int) -> int:
    """Return where on the canvas the padded input begins."""
    return -geometry.padding[axis][0] if geometry.padding_mode == "replicate" else 0
