"""Whether a module computes what its plain twin does, tested on probe inputs.

Probes are inputs on which a layer that is not a plain convolution is likely to differ
from one. They come in the order of their cost, which is bounded: what differs on a few
pixels is refused at once.
"""

import copy
import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from expressivity.comparison import compare
from expressivity.errors import UnsupportedModuleError
from expressivity.geometry import ConvGeometry
from expressivity.geometry.convolution import Convolution

# Probes run in float64; two orders of summation differ by far less than this.
_TOLERANCE = 1e-10
_SCALES = (1.0, 1e-3, 1e3, 1e6)
_LONG = 40  # pixels beyond the smallest input
# An input that is long along every axis is a probe up to so many products.
_MOST_PRODUCTS = 2**29


def require_plain(
    module: Convolution,
    twin: Callable[[Convolution], Convolution],
    modes: Sequence[bool],
) -> None:
    """Refuse a module that does not compute what its plain twin computes.

    Args:
        module: The module; it is copied, and the copies run in float64 on the CPU.
        twin: Builds the plain convolution with the options and weight of a copy. Each
            copy gets its own: a parametrisation rounds otherwise in float64.
        modes: The training modes in which the two are compared.

    Raises:
        UnsupportedModuleError: If outputs differ, or a copy draws random numbers.
        Exception: Whatever the module raises.
    """
    copies = [
        copy.deepcopy(module).to("cpu", torch.float64).train(mode) for mode in modes
    ]
    pairs = [(copied, twin(copied)) for copied in copies]
    with torch.random.fork_rng(devices=[]):
        before = torch.get_rng_state()
        for probe in _probes(pairs[0][1]):
            for copied, plain in pairs:
                _compare(copied, plain, probe)
                if not torch.equal(before, torch.get_rng_state()):
                    raise UnsupportedModuleError(
                        f"{type(module).__name__} draws random numbers with "
                        f"training={copied.training}: no convolution does"
                    )


def _compare(module: Convolution, plain: Convolution, probe: Tensor) -> None:
    difference = compare(plain, module, [probe])
    if not difference.relative <= _TOLERANCE:
        raise UnsupportedModuleError(
            f"{type(module).__name__} does not compute what a plain convolution with "
            f"its weight does: they differ by {difference.relative:.2g} of the "
            f"output's scale on an input of {tuple(probe.shape)} with "
            f"training={module.training}"
        )


def _probes(conv: Convolution) -> Iterator[Tensor]:
    """Yield probes of every kind, cheap ones first.

    On the smallest input: every magnitude, from that of the smallest activations to
    beyond the largest, alone and in a batch, then infinity and NaN. Then sizes that
    meet every remainder of the stride, one with outputs far from all borders, and
    large ones: along each axis, and along all of them where that is affordable.
    """
    generator = torch.Generator("cpu").manual_seed(0)

    def random(batch: int, size: Sequence[int]) -> Tensor:
        return torch.randn(
            (batch, conv.in_channels, *size),
            generator=generator,
            dtype=torch.float64,
            device="cpu",
        )

    geometry = ConvGeometry.from_conv(conv)
    smallest = _smallest(geometry)
    for scale in _SCALES:
        for batch in (2, 1):
            yield scale * random(batch, smallest)
    for value in (math.inf, math.nan):
        probe = random(1, smallest)
        probe.view(-1)[0] = value
        yield probe
    for extra in range(max(2, *geometry.stride)):
        size = [pixels + extra + axis for axis, pixels in enumerate(smallest)]
        yield _SCALES[extra % len(_SCALES)] * random(2 - extra % 2, size)
    yield random(1, [max(pair) for pair in zip(geometry.extent, smallest, strict=True)])
    for axis, pixels in enumerate(smallest):
        yield random(1, [*smallest[:axis], pixels + _LONG, *smallest[axis + 1 :]])
    large = [pixels + _LONG + axis for axis, pixels in enumerate(smallest)]
    outputs = math.prod(geometry.output_size(large))
    if outputs * conv.weight.numel() <= _MOST_PRODUCTS:
        yield random(1, large)


def _smallest(geometry: ConvGeometry) -> list[int]:
    """Return the pixels per axis of the smallest input that a convolution takes."""
    mirrored = geometry.padding_mode in ("reflect", "circular")
    return [
        max(1, extent - before - after, mirrored * (max(before, after) + 1))
        for extent, (before, after) in zip(
            geometry.extent, geometry.padding, strict=True
        )
    ]
