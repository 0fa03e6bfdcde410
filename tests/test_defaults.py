"""Results do not depend on torch's default device and dtype."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import expressivity as ex
from expressivity.atlas.evidence import gather
from expressivity.atlas.family import default_sample
from expressivity.attention import explain
from expressivity.convolutions import plain_convolution
from tests.cases import BASE, Case

# "meta" is the one other device that every machine has.
DEFAULTS: dict[str, tuple[str, torch.dtype]] = {
    "meta": ("meta", torch.float32),
    "float64": ("cpu", torch.float64),
    "bfloat16": ("cpu", torch.bfloat16),
}
over_defaults = pytest.mark.parametrize("default", DEFAULTS)


@contextmanager
def defaults(name: str) -> Iterator[None]:
    """Let tensors be created elsewhere, or in another dtype."""
    device, dtype = DEFAULTS[name]
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    torch.set_default_device(device)
    try:
        yield
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(before)


def subject(case: Case = BASE, dtype: torch.dtype = torch.float32) -> Any:
    """Return a convolution, its soft attention, and an input, on the CPU."""
    conv = case.conv(dtype)
    return conv, ex.attention_from_conv(conv, alpha=2.0), case.input().to(dtype)


def _parameters(module: nn.Module) -> list[Tensor]:
    return [p.detach() for p in module.parameters()]


def _forward(strategy: str, **options: Any) -> Callable[..., list[Tensor]]:
    options = options or {"alpha": 2.0}

    def run(conv: nn.Module, attention: nn.Module, x: Tensor) -> list[Tensor]:
        layer = ex.attention_from_conv(conv, strategy=strategy, **options)
        (x := x.clone()).requires_grad_()
        output = layer(x)
        (gradient,) = torch.autograd.grad(output.sum(), x)
        return [output.detach(), gradient]

    return run


class Overridden(nn.Conv2d):
    """Has to be probed."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)


def _probed(conv: Any, attention: nn.Module, x: Tensor) -> list[Tensor]:
    module = Overridden(2, 2, 3, device="cpu", dtype=torch.float32)
    assert type(plain_convolution(module)) is nn.Conv2d
    return []


RESULTS: dict[str, Callable[[Any, Any, Tensor], Any]] = {
    "attention_from_conv": lambda c, a, x: _parameters(ex.attention_from_conv(c)),
    "attention_from_conv, tolerance": lambda c, a, x: _parameters(
        ex.attention_from_conv(c, tolerance=1e-3)
    ),
    "attention_from_conv, head_dim": lambda c, a, x: _parameters(
        ex.attention_from_conv(c, head_dim=1)
    ),
    "attention_from_conv, minimal": lambda c, a, x: _parameters(
        ex.attention_from_conv(c, heads="minimal")
    ),
    "attention_from_conv, rings": lambda c, a, x: _parameters(
        ex.attention_from_conv(c, alpha=2.0, rings=1)
    ),
    "plain_convolution": _probed,
    "convert": lambda c, a, x: [ex.convert(nn.Sequential(c)).model(x).detach()],
    "certify": lambda c, a, x: [
        ex.certify(a, c).bound,
        ex.certify(a, c, size=x.shape[2:]).bound,
        ex.certify(a, c).worst_input,
    ],
    "worst_case_error": lambda c, a, x: [
        ex.worst_case_error(c, alpha=2.0),
        ex.worst_case_error(c, alpha=2.0, size=x.shape[2:]),
    ],
    "conversion_error": lambda c, a, x: [
        ex.worst_case_error(a, c),
        ex.worst_case_error(a, c, size=x.shape[2:]),
    ],
    "alpha_for": lambda c, a, x: [
        ex.alpha_for(c, tolerance=1e-3),
        ex.alpha_for(c, tolerance=1e-3, size=x.shape[2:]),
    ],
    "saturation_alpha": lambda c, a, x: [
        ex.accuracy.saturation_alpha(torch.float32, 2)
    ],
    "first_order_error": lambda c, a, x: [
        ex.accuracy.first_order_error(c, x, alpha=2.0)
    ],
    "error_sweep": lambda c, a, x: [asdict(ex.error_sweep(c, x))],
    "conv_from_attention": lambda c, a, x: _parameters(
        ex.conv_from_attention(ex.attention_from_conv(c))
    ),
    "head_count": lambda c, a, x: [vars(ex.head_count(c))],
    "head_curve": lambda c, a, x: [vars(ex.head_count(c)).curve()],
    "minimal_heads": lambda c, a, x: [vars(ex.head_count(c).minimal())],
    "truncation_error": lambda c, a, x: [ex.accuracy.truncation_error(c, 1)],
    "compare": lambda c, a, x: [vars(ex.compare(c, a, [x]))],
    "explain": lambda c, a, x: [str(explain(a, x))],
    "dense": _forward("dense"),
    "separable": _forward("separable"),
    "fused": _forward("fused"),
    "normalised": _forward("normalised", heads="minimal"),
}


@over_defaults
@pytest.mark.parametrize("name", RESULTS)
def test_a_result_is_the_same_under_other_defaults(name: str, default: str) -> None:
    case, function = subject(), RESULTS[name]
    wanted = function(*case)
    with defaults(default):
        found = function(*case)
    assert_same(found, wanted)


def assert_same(found: Any, wanted: Any) -> None:
    """Compare nested results bit for bit, dtypes and devices included."""
    if isinstance(wanted, Tensor):
        assert found.device == wanted.device
        assert found.dtype == wanted.dtype
        assert torch.equal(found, wanted)
    elif isinstance(wanted, dict):
        assert found.keys() == wanted.keys()
        assert_same(list(found.values()), list(wanted.values()))
    elif isinstance(wanted, list | tuple):
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            assert_same(one, other)
    else:
        assert found == wanted


@pytest.mark.parametrize("name", sorted(ex.atlas.FAMILIES))
def test_evidence_is_gathered_under_another_default_device(name: str) -> None:
    family, sample = ex.atlas.FAMILIES[name], default_sample()
    wanted = gather(family, sample, steps=3).to_dict()
    with defaults("meta"):
        found = gather(family, sample, steps=3).to_dict()
    assert found.keys() == wanted.keys()
    assert_same(found, wanted)


def test_a_result_elsewhere_is_not_the_same() -> None:
    here = torch.zeros(2)
    for other in (here.double(), here.to("meta"), here + 1):
        with pytest.raises(AssertionError, match=r"device|dtype|equal|False"):
            assert_same([other], [here])
