"""``expressivity sweep``: the error of one convolution against α."""

import math
from collections.abc import Sequence
from dataclasses import fields

import torch

from expressivity.checks import check_positive
from expressivity.cli.arguments import RandomConvolution, Sweep
from expressivity.cli.console import track
from expressivity.cli.layer_choice import dtype_of, layer_of_model, random_convolution
from expressivity.cli.options import parse_size
from expressivity.cli.report import Claim, Report
from expressivity.errors import ArgumentError
from expressivity.geometry import ConvGeometry
from expressivity.geometry.convolution import Convolution
from expressivity.listing import Listing
from expressivity.plots import plot_error_vs_alpha
from expressivity.sweep import ErrorSweep, error_sweep, past_saturation, spread_alphas


def run(arguments: Sweep) -> Report:
    """Sweep α, and draw the curves."""
    pixels = parse_size("--size", arguments.size)
    if len(pixels) > 3:
        raise ArgumentError(f"--size needs 1, 2 or 3 numbers, got {arguments.size!r}")
    conv = _convolution(arguments, len(pixels))
    sweep = error_sweep(
        conv,
        _uniform(conv, pixels, arguments.seed),
        _alphas(conv, arguments),
        progress=lambda strengths: track(strengths, "sweeping α"),
    )
    claim = _claim(conv, pixels, sweep)
    targets = arguments.targets()
    return Report(
        "sweep",
        [claim],
        {
            "factory": arguments.factory,
            "weights": arguments.weights,
            "layer": arguments.layer,
            "convolution": str(conv),
            "size": pixels,
            "seed": arguments.seed,
            **sweep.to_dict(),
        },
        [
            f"{conv} on {'×'.join(map(str, pixels))} pixels within ±1, {sweep.dtype}",
            _table(sweep),
            f"one rounding in {sweep.dtype}: {sweep.rounding_floor:.1e}",
            claim.line(),
            *(f"wrote {path}" for path in targets),
        ],
        {target: plot_error_vs_alpha(sweep).savefig for target in targets},
    )


def _convolution(arguments: Sweep, axes: int) -> Convolution:
    """Return the layer of the model or a random one; refuse options of the other."""
    of_random = [field.name for field in fields(RandomConvolution)]
    if arguments.factory is None:
        useless = arguments.given(["weights", "layer"])
        needed = "a FACTORY to take a model from"
    else:
        useless, needed = (
            arguments.given(of_random),
            "no FACTORY: the model decides that",
        )
    if useless:
        raise ArgumentError(f"{useless[0]} needs {needed}")
    if arguments.factory is None:
        conv = random_convolution(arguments, axes, arguments.seed)
    else:
        conv = layer_of_model(arguments.factory, arguments.weights, arguments.layer)
    return conv if arguments.dtype is None else conv.to(dtype_of(arguments.dtype))


def _alphas(conv: Convolution, arguments: Sweep) -> list[float]:
    smallest, largest = arguments.alpha_min, arguments.alpha_max
    if largest is None:
        largest = past_saturation(conv)
    if check_positive("--alpha-min", smallest) > check_positive("--alpha-max", largest):
        raise ArgumentError(
            f"--alpha-max needs to be at least --alpha-min, got {largest} "
            f"and {smallest}"
        )
    return spread_alphas(smallest, largest, arguments.points)


def _uniform(conv: Convolution, pixels: Sequence[int], seed: int) -> torch.Tensor:
    """Return one input within ±1, where the worst case is stated."""
    generator = torch.Generator("cpu").manual_seed(seed)
    numbers = torch.rand(
        1, conv.in_channels, *pixels, generator=generator, device="cpu"
    )
    return (2 * numbers - 1).to(conv.weight)


def _claim(conv: Convolution, pixels: Sequence[int], sweep: ErrorSweep) -> Claim:
    # A sum of n terms rounds n times; the smoothing sums over the canvas, the
    # convolution over taps and channels.
    canvas = ConvGeometry.from_conv(conv).canvas_size(pixels)
    roundings = sum(canvas) + math.prod(conv.weight.shape[1:])
    slack = roundings * sweep.rounding_floor
    return Claim(
        f"measured ≤ worst case + {roundings} roundings at all {len(sweep.alphas)} α",
        all(
            measured <= worst + slack
            for measured, worst in zip(sweep.measured, sweep.worst_case, strict=True)
        ),
    )


def _table(sweep: ErrorSweep) -> Listing:
    columns = (sweep.alphas, sweep.measured, sweep.predicted, sweep.worst_case)
    return Listing.of(
        [],
        ["α [1/px²]", "measured", "first order", "worst case"],
        [
            [f"{alpha:.2f}", *(f"{error:.2e}" for error in errors)]
            for alpha, *errors in zip(*columns, strict=True)
        ],
        caption="largest absolute error over all outputs",
    )
