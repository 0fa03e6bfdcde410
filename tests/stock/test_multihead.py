"""``torch.nn.MultiheadAttention`` with a layer's weights: the same, and certified."""

from typing import Any

import pytest
import torch
from torch import nn

import expressivity as ex
from expressivity.attention.description import LayerDescription
from expressivity.errors import (
    ArgumentError,
    CertificateError,
    InputError,
    UnsupportedModuleError,
)
from expressivity.stock import ImageMultihead
from expressivity.stock.image_tokens import ImageTokens

CASES: dict[str, tuple[nn.Conv2d, tuple[int, ...]]] = {
    "plain": (nn.Conv2d(3, 4, 3, padding=1), (8, 7)),
    "no padding": (nn.Conv2d(2, 2, (2, 3)), (5, 6)),
    "strided, grouped": (nn.Conv2d(4, 6, 3, 2, padding=1, groups=2), (9, 9)),
    "depthwise": (nn.Conv2d(5, 5, 3, padding=1, groups=5, bias=False), (6, 6)),
    "dilated": (nn.Conv2d(2, 3, 3, padding=2, dilation=2), (7, 5)),
    "pointwise": (nn.Conv2d(8, 3, 1), (4, 4)),
    "one pixel": (nn.Conv2d(2, 3, 3, padding=1), (1, 1)),
    "circular": (nn.Conv1d(2, 3, 5, padding=2, padding_mode="circular"), (20,)),
    "reflect": (nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"), (6, 5)),
    "replicate": (nn.Conv2d(2, 3, 3, padding=1, padding_mode="replicate"), (6, 6)),
    "3 axes": (nn.Conv3d(2, 3, 2), (4, 4, 3)),
}
OPTIONS: dict[str, dict[str, Any]] = {
    "saturated": {},
    "soft": {"alpha": 1.3},
    "truncated": {"head_dim": 1},
    "ringed": {"alpha": 2.0, "rings": 1},
}


def pair(
    case: str, dtype: torch.dtype = torch.float64, **options: Any
) -> tuple[nn.Conv2d, ex.RelativeSelfAttention, ImageMultihead]:
    conv, size = CASES[case]
    conv = conv.to(dtype)
    attention = ex.attention_from_conv(conv, **options)
    return conv, attention, ex.to_multihead(attention, size=size)


def inputs(case: str, dtype: torch.dtype = torch.float64, batch: int = 2):
    conv, size = CASES[case]
    return 2 * torch.rand(batch, conv.in_channels, *size, dtype=dtype) - 1


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("case", CASES)
def test_it_computes_what_the_layer_does(case: str, options: dict[str, Any]):
    _, attention, layer = pair(case, **options)
    for batch in (0, 1, 3):
        x = inputs(case, batch=batch)
        attention.strategy = "dense"
        assert torch.allclose(layer(x), attention(x), atol=1e-12, rtol=0)
    assert torch.allclose(layer(x[0]), attention(x)[0], atol=1e-12, rtol=0)


@pytest.mark.parametrize("mode", ["training", "evaluation", "no_grad", "inference"])
def test_every_mode_computes_the_same(mode: str):
    conv, _, layer = pair("plain", torch.float32)
    x = inputs("plain", torch.float32)
    layer.train(mode == "training")
    context = {"no_grad": torch.no_grad, "inference": torch.inference_mode}
    with context.get(mode, torch.enable_grad)():
        assert (layer(x) - conv(x)).abs().max() < 1e-5


@pytest.mark.parametrize("case", CASES)
def test_the_weights_come_back_bit_by_bit(case: str):
    _, attention, layer = pair(case, torch.float32)
    again = layer.relative()
    for one, other in zip(attention.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)
    assert LayerDescription.of(again) == LayerDescription.of(attention)


@pytest.mark.parametrize(
    ("options", "dtype"),
    [({}, torch.float64), *((each, torch.float32) for each in OPTIONS.values())],
    ids=["float64", *OPTIONS],
)
@pytest.mark.parametrize("case", CASES)
@torch.no_grad()
def test_its_certificate_bounds_every_input(
    case: str, options: dict[str, Any], dtype: torch.dtype
):
    conv, _, layer = pair(case, dtype, **options)
    certificate = ex.certify(layer, conv)
    assert certificate.strategy == "multihead"
    assert certificate.size == CASES[case][1]
    certificate.check()
    certificate.check(layer, conv)
    signs = inputs(case, dtype, batch=30).sign()
    for x in (certificate.worst_input, signs, inputs(case, dtype)):
        gap = (layer(x).double() - conv(x).double()).abs().flatten(2).amax((0, 2))
        assert bool((gap <= certificate.bound).all())


def test_the_bound_is_small_where_heads_are_saturated():
    conv, _, layer = pair("plain")
    assert float(ex.certify(layer, conv).bound.max()) < 1e-11


@pytest.mark.parametrize("case", CASES)
def test_saturated_heads_are_as_good_as_the_convolution(case: str):
    conv, _, layer = pair(case, torch.float32)
    certificate = ex.certify(layer, conv)
    share = certificate.layer_rounding / certificate.convolution_rounding
    assert float(share.max()) < 12


class TestChanges:
    """A certificate is about these weights and this code."""

    @pytest.mark.parametrize("name", ["in_proj_weight", "in_proj_bias"])
    def test_a_changed_weight_is_noticed(self, name: str):
        conv, _, layer = pair("plain")
        certificate = ex.certify(layer, conv)
        with torch.no_grad():
            layer.attention.get_parameter(name).view(-1)[0].add_(0.5)
        with pytest.raises(CertificateError, match=r"weights that to_multihead wrote"):
            certificate.check()
        with pytest.raises(CertificateError, match=r"weights that to_multihead wrote"):
            ex.certify(layer, conv)

    def test_a_changed_value_is_certified_as_it_is(self):
        conv, _, layer = pair("plain")
        before = ex.certify(layer, conv)
        with torch.no_grad():
            layer.attention.out_proj.bias[0] += 0.5
        assert ex.certify(layer, conv).bound.max() > 0.5
        with pytest.raises(CertificateError, match=r"parameters that were certified"):
            before.check()

    def test_other_code_is_refused(self):
        conv, _, layer = pair("plain")
        layer.attention.register_forward_hook(lambda *_: None)
        with pytest.raises(UnsupportedModuleError, match=r"hooks"):
            ex.certify(layer, conv)
        _, _, layer = pair("plain")
        layer.train().attention.dropout = 0.5
        with pytest.raises(UnsupportedModuleError, match=r"something else"):
            ex.certify(layer, conv)

    def test_another_size_is_refused(self):
        conv, _, layer = pair("plain")
        with pytest.raises(InputError, match=r"size \(8, 7\) alone"):
            ex.certify(layer, conv, size=(9, 9))
        with pytest.raises(InputError, match=r"of size \(8, 7\)"):
            layer(torch.ones(1, 3, 7, 8, dtype=torch.float64))


@pytest.mark.parametrize(
    ("attention", "size", "message"),
    [
        (
            ex.attention_from_conv(CASES["plain"][0], heads="minimal"),
            (8, 7),
            r"got tables",
        ),
        (
            ex.attention_from_conv(CASES["plain"][0]).add_content_terms(2),
            (8, 7),
            r"got content terms",
        ),
        (
            ex.attention_from_conv(nn.Conv2d(1, 1, 1).half()),
            (8, 7),
            r"float32 or float64",
        ),
        (
            ex.attention_from_conv(
                nn.Conv1d(1, 1, 1, padding=1, padding_mode="replicate")
            ),
            (4,),
            r"outside of the canvas",
        ),
        (ex.attention_from_conv(nn.Conv1d(1, 1, 1)), (9000,), r"smaller size"),
    ],
)
def test_what_it_does_not_take(
    attention: ex.RelativeSelfAttention, size: tuple[int, ...], message: str
):
    with pytest.raises(ArgumentError, match=message):
        ex.to_multihead(attention, size=size)


def test_it_is_trained_like_any_module():
    _, _, layer = pair("plain", torch.float32)
    layer.requires_grad_().train()
    optimizer = torch.optim.SGD(layer.parameters(), 1e-4)
    x = inputs("plain", torch.float32)
    losses = []
    for _ in range(5):
        loss = layer(x).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    assert isinstance(layer, ImageTokens)
