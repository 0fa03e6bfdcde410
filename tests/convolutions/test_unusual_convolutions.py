"""Convolutions that are not plain: converted if reproduced, else kept and listed.

Whatever becomes of them, the converted network computes what the given one did.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

import expressivity as ex
from tests.architectures.subclasses import (
    GuardedConv2d,
    OrthogonalConv2d,
    SameConv2d,
    StandardizedConv2d,
)
from tests.convolutions.unusual import (
    CausalConv1d,
    ClampedConv2d,
    ClippedConv2d,
    DroppingConv2d,
    FixedSizeConv2d,
    ForgivingConv2d,
    HandWrittenConv,
    NoisyConv2d,
    OffsetConv2d,
    ResolutionConv2d,
    RoutedConv2d,
    ScaleConv2d,
    ScaledConv2d,
    conv,
    pruned,
    quantization_aware,
    quantized,
    quietly,
    with_backward_hook,
    with_channels_summed,
    with_forward_replaced,
    with_infinite_bias,
    with_kernel_grown,
    with_nan,
    with_output_doubled,
    with_stale_padding,
)

NOT_SAME = "does not compute what a plain convolution"
REPRODUCED = "present weight reproduced it"
INHERITED = "^$"  # nothing to know about it
DIFFERS = "does not compute what a plain convolution"
NOT_COMPARED = "could not be compared"
HOOKS = "hooks of its own"


@dataclass(frozen=True)
class Unusual:
    """A module with one unusual convolution, and what should become of it."""

    build: Callable[[], nn.Module]
    status: str
    reason: str
    training: bool = False
    size: tuple[int, ...] | None = (3, 7, 6)  # None: it takes no plain input

    def network(self) -> nn.Module:
        """Return a network around the module."""
        return nn.Sequential(nn.Identity(), self.build()).train(self.training)


UNUSUAL = {
    "other initial values": Unusual(
        lambda: OrthogonalConv2d(3, 4, 3), "converted", INHERITED
    ),
    "guarded forward": Unusual(
        lambda: GuardedConv2d(3, 4, 3, padding=1), "converted", REPRODUCED
    ),
    "optional argument": Unusual(
        lambda: ScaledConv2d(3, 4, 3), "kept", "more than an input: scale"
    ),
    "same padding of a 1×1": Unusual(
        lambda: SameConv2d(3, 4, 1, stride=2), "converted", REPRODUCED
    ),
    "same padding": Unusual(lambda: SameConv2d(3, 4, 3), "kept", NOT_COMPARED),
    "same padding that is also fixed": Unusual(
        lambda: SameConv2d(3, 4, 3, padding=1), "converted", REPRODUCED
    ),
    "same padding with a stride": Unusual(
        lambda: SameConv2d(3, 4, 3, stride=2, padding=1), "kept", DIFFERS
    ),
    "same padding of one size in eight": Unusual(
        lambda: SameConv2d(3, 4, (1, 2), stride=(1, 8)),
        "kept",
        NOT_COMPARED,
        size=(3, 2, 9),
    ),
    "same padding of one size in twenty": Unusual(
        lambda: SameConv2d(3, 4, 2, stride=20), "kept", NOT_COMPARED, size=(3, 21, 21)
    ),
    "standardised weight": Unusual(
        lambda: StandardizedConv2d(3, 4, 3), "kept", DIFFERS
    ),
    "noise in training": Unusual(
        lambda: NoisyConv2d(3, 4, 3), "kept", f"{DIFFERS}.*training=True"
    ),
    "clipped output": Unusual(lambda: ClippedConv2d(3, 4, 3), "kept", DIFFERS),
    "causal": Unusual(lambda: CausalConv1d(3, 4, 3), "kept", NOT_COMPARED, size=(3, 7)),
    "clamped": Unusual(lambda: ClampedConv2d(3, 4, 3), "kept", NOT_SAME),
    "by resolution": Unusual(lambda: ResolutionConv2d(3, 4, 3), "kept", NOT_SAME),
    "forgiving": Unusual(lambda: ForgivingConv2d(3, 4, 3), "kept", NOT_SAME),
    "dropping": Unusual(lambda: DroppingConv2d(3, 4, 3), "kept", "random numbers"),
    "negative padding": Unusual(
        lambda: nn.Conv2d(3, 4, 1, padding=-1, padding_mode="circular"),
        "kept",
        "options do not suit",
    ),
    "second input": Unusual(
        lambda: OffsetConv2d(3, 4, 3), "kept", "more than an input: offset", size=None
    ),
    "fixed size": Unusual(
        lambda: FixedSizeConv2d(3, 4, 3), "kept", f"{NOT_COMPARED}.*made for 7×6"
    ),
    "state from outside": Unusual(
        lambda: RoutedConv2d(3, 4, 3), "kept", f"{NOT_COMPARED}.*route", size=None
    ),
    "parameter of its own": Unusual(lambda: ScaleConv2d(3, 4, 3), "kept", "gain"),
    "hand-written": Unusual(HandWrittenConv, "kept", r"nn\.Conv2d.*is required"),
    "forward replaced": Unusual(with_forward_replaced, "kept", NOT_COMPARED),
    "forward hook": Unusual(with_output_doubled, "kept", f"{HOOKS}.*forward_hooks"),
    "backward hook": Unusual(with_backward_hook, "kept", f"{HOOKS}.*backward_hooks"),
    "NaN": Unusual(with_nan, "kept", "1 numbers that are NaN or infinite"),
    "infinite bias": Unusual(with_infinite_bias, "kept", "its bias holds 1 numbers"),
    "complex": Unusual(
        lambda: nn.Conv2d(3, 4, 3, dtype=torch.complex64),
        "kept",
        r"got torch\.complex64",
        size=None,
    ),
    "no values yet": Unusual(
        lambda: nn.Conv2d(3, 4, 3, device="meta"), "kept", "meta device", size=None
    ),
    "lazy": Unusual(lambda: nn.LazyConv2d(4, 3), "kept", "lazy", size=None),
    "transposed": Unusual(lambda: nn.ConvTranspose2d(3, 4, 3), "kept", "transposed"),
    "scripted": Unusual(
        quietly(lambda: torch.jit.script(conv())), "kept", "TorchScript"
    ),
    "traced": Unusual(
        quietly(lambda: torch.jit.trace(conv(), torch.zeros(1, 3, 7, 6))),
        "kept",
        "TorchScript",
    ),
    "quantised": Unusual(
        quietly(quantized), "kept", r"got torch\.ao\.nn\.quantized", size=None
    ),
    "quantisation-aware": Unusual(
        quietly(quantization_aware), "kept", "weight_fake_quant"
    ),
    "pruned": Unusual(pruned, "kept", HOOKS),
    "hooked weight norm": Unusual(
        quietly(lambda: nn.utils.weight_norm(conv())), "kept", HOOKS
    ),
    "hooked spectral norm": Unusual(
        quietly(lambda: nn.utils.spectral_norm(conv())), "kept", HOOKS
    ),
    "weight norm": Unusual(
        lambda: parametrizations.weight_norm(conv()), "converted", REPRODUCED
    ),
    "weight norm in training": Unusual(
        lambda: parametrizations.weight_norm(conv()),
        "converted",
        REPRODUCED,
        training=True,
    ),
    "spectral norm": Unusual(
        lambda: parametrizations.spectral_norm(conv()), "converted", REPRODUCED
    ),
    "spectral norm in training": Unusual(
        lambda: parametrizations.spectral_norm(conv()), "kept", DIFFERS, training=True
    ),
    "weight replaced by fewer channels": Unusual(
        with_channels_summed, "kept", "weight", size=(1, 7, 6)
    ),
    "weight replaced by a larger kernel": Unusual(with_kernel_grown, "kept", "weight"),
    "stale padding": Unusual(with_stale_padding, "kept", "padding"),
}
per_case = pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=name) for name, case in UNUSUAL.items()],
)


@per_case
def test_status_and_reason(case: Unusual):
    (layer,) = ex.convert(case.network()).layers
    assert (layer.name, layer.status) == ("1", case.status)
    assert re.search(case.reason, layer.reason), layer.reason


@per_case
def test_outputs_are_those_of_the_network(case: Unusual):
    if case.size is None:
        pytest.skip("takes no plain input")
    network = case.network()
    model = ex.convert(network).model
    for scale in (1.0, 100.0):
        x = scale * torch.randn(2, *case.size)
        found, wanted = _seeded_output(model, x), _seeded_output(network, x)
        atol = 1e-5 * float(wanted.nan_to_num(0, 0, 0).abs().max())
        torch.testing.assert_close(found, wanted, rtol=0, atol=atol, equal_nan=True)


def _seeded_output(module: nn.Module, x: Tensor) -> Tensor:
    torch.manual_seed(0)
    with torch.no_grad():
        return module(x)
