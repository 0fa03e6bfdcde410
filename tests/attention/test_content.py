"""Gated content: the definition and its gradients, and what a layer says of it."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import expressivity as ex
from expressivity.attention.content import DEFAULT_GATE
from expressivity.errors import (
    ArgumentError,
    CertificateError,
    ConvolutionAttributeError,
    NotOneHotError,
)
from tests import laws, oracles
from tests.cases import BASE, BASE_1D, BASE_3D, MODES, Case
from tests.modes import BY_NAME

SMALL = {"in_channels": 2, "out_channels": 3}
CASES = [
    replace(BASE, size=(4, 3), **SMALL),
    replace(BASE_1D, in_channels=3, out_channels=2),
    replace(BASE_3D, size=(2, 3, 2), **SMALL),
    replace(BASE, size=(4, 3), stride=2, groups=2),
    replace(BASE, size=(3, 3), dilation=2, padding=3),
    *(replace(BASE, size=(4, 3), padding_mode=mode, **SMALL) for mode in MODES[1:]),
]
over_cases = pytest.mark.parametrize("case", CASES, ids=str)
STRATEGIES = ("auto", "fused", "dense")
per_strategy = pytest.mark.parametrize("strategy", STRATEGIES)


def gated(case: Case, **options: object) -> ex.RelativeSelfAttention:
    """Return a soft layer whose content has shares from a tenth to nine tenths."""
    layer = ex.attention_from_conv(case.conv(), alpha=0.7, **options).add_content(2)
    with torch.no_grad():
        layer.gate.copy_(torch.linspace(-2, 2, layer.num_heads))
        layer.alpha.add_(torch.rand_like(layer.alpha))
        layer.centers.add_(torch.rand_like(layer.centers) - 0.5)
        layer.query_weight.mul_(2)
    return layer


def literal(layer: ex.RelativeSelfAttention, case: Case, x: Tensor) -> Tensor:
    """Return σ(λ) · positional + (1 − σ(λ)) · content, in nested loops."""
    like = oracles.literal_conversion(case.conv(), 0.0)
    share = layer.gate.detach().double().sigmoid()[:, None, None]
    positional = replace(
        like,
        alpha=layer.alpha.tolist(),
        centers=layer.centers.tolist(),
        matrices=share * like.matrices,
    )
    heads, key_dim, _ = layer.query_weight.shape
    axes = layer.geometry.axes
    content = replace(
        like,
        matrices=(1 - share) * like.matrices,
        content=oracles.Content(
            query=layer.query_weight.detach().mT / key_dim**0.5,
            key=layer.key_weight.detach().mT,
            position_key=torch.zeros(heads, axes + 1, key_dim, dtype=torch.float64),
            bias=torch.zeros(heads, key_dim, dtype=torch.float64),
        ),
    )
    bias = layer.bias.detach().reshape(-1, *[1] * axes)
    return positional(x) + content(x) - bias


@over_cases
def test_the_output_is_the_definition(case: Case) -> None:
    layer, x = gated(case), case.input()
    expected = literal(layer, case, x)
    for strategy in STRATEGIES:
        layer.strategy = strategy
        found = layer(x).detach()
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def defined(layer: ex.RelativeSelfAttention, x: Tensor) -> Tensor:
    """Return the output of a layer in 1 axis without padding, for autograd."""
    (query,) = layer.geometry.queries(x.shape[2:])
    gap = torch.tensor(
        [[k - q for k in range(x.shape[2])] for q in query], dtype=torch.float64
    )
    output = 0
    for head in range(layer.num_heads):
        score = -layer.alpha[head] * (gap - layer.centers[head, 0]).square()
        asking = x.mT[:, list(query)] @ layer.query_weight[head].mT
        asked = x.mT @ layer.key_weight[head].mT
        content = asking @ asked.mT / layer.query_weight.shape[1] ** 0.5
        share = 1 / (1 + (-layer.gate[head]).exp())
        rows = share * score.softmax(-1) + (1 - share) * content.softmax(-1)
        matrix = layer.heads().matrices()[head, 0]
        output = output + matrix @ (rows @ x.mT).mT
    return output + layer.bias[:, None]


@pytest.mark.parametrize(
    "mode", [mode for mode in BY_NAME.values() if mode.has_a_graph], ids=str
)
@pytest.mark.parametrize("strategy", ["separable", "fused", "dense"])
@pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")
def test_gradients_are_those_of_the_definition(strategy: str, mode: object) -> None:
    case = replace(BASE_1D, padding=0, in_channels=3, out_channels=4)
    layer = gated(case, strategy=strategy, head_dim=2)
    for batch in (1, 3):
        x = case.input(batch)
        runs, y = BY_NAME["recorded"].prepared(layer, x)
        sources = {**dict(runs.named_parameters()), "x": y}
        output = defined(runs, y)
        probe = torch.randn(
            output.shape,
            generator=torch.Generator().manual_seed(0),
            dtype=torch.float64,
        )
        wanted = torch.autograd.grad((probe * output).sum(), list(sources.values()))
        wanted = dict(zip(sources, wanted, strict=True))
        assert wanted["gate"].abs().min() > 1e-4
        for name, gradient in mode.gradients(layer, x).items():
            torch.testing.assert_close(gradient, wanted[name], rtol=0, atol=1e-10)


@pytest.mark.parametrize("strategy", ["separable", "dense"])
def test_the_gate_has_a_gradient_at_every_alpha(strategy: str) -> None:
    conv, x = BASE.conv(), BASE.input()
    sizes = []
    for alpha in (None, 4.0, 1.0):
        torch.manual_seed(0)
        layer = ex.attention_from_conv(conv, alpha=alpha, strategy=strategy)
        layer.add_content(3)
        layer(x).square().sum().backward()
        for name in ("gate", "query_weight", "key_weight"):
            assert getattr(layer, name).grad.abs().max() > 1e-6, name
        sizes.append(float(layer.gate.grad.abs().max()))
    assert max(sizes) < 10 * min(sizes)


def test_a_new_gate_leaves_content_a_small_share() -> None:
    conv, x = BASE.conv(), BASE.input()
    layer = ex.attention_from_conv(conv).add_content(3)
    share = layer.heads().gated.share_of_content()
    assert torch.equal(layer.gate, torch.full_like(layer.gate, DEFAULT_GATE))
    torch.testing.assert_close(
        share, torch.full_like(share, 1 / (1 + 2.718281828459045**4))
    )
    change = (layer(x) - conv(x)).abs().max()
    # A mean of tokens stands for one of them, with that share, in every head.
    assert 1e-6 < change < 2 * share.max() * oracles.output_scale(conv, x)


@over_cases
def test_probabilities_are_mixed_and_scores_refused(case: Case) -> None:
    layer, x = gated(case), case.input()
    probabilities = layer.attention_probabilities(x=x).detach()
    sums = probabilities.sum(-1)
    torch.testing.assert_close(sums, torch.ones_like(sums))
    alone = layer.without_content().attention_probabilities(x=x[:1]).detach()
    share = layer.gate.detach().sigmoid()[:, None, None]
    rest = (probabilities - share * alone) / (1 - share)
    torch.testing.assert_close(rest.sum(-1), torch.ones_like(sums))
    assert rest.min() > -1e-12
    with pytest.raises(ArgumentError, match=r"gated heads have two: read attention_p"):
        layer.scores(x=x)
    with pytest.raises(ArgumentError, match="attends differently to every input"):
        layer.attention_probabilities(size=case.size)


@over_cases
def test_without_content_the_positional_part_is_left(case: Case) -> None:
    layer, x = gated(case), case.input()
    share = layer.gate.detach().sigmoid()[:, None, None]
    like = oracles.literal_conversion(case.conv(), 0.0)
    wanted = replace(
        like,
        alpha=layer.alpha.tolist(),
        centers=layer.centers.tolist(),
        matrices=share * like.matrices,
    )(x)
    found = layer.without_content()
    assert found.gate is None
    assert "gate" not in found.state_dict()
    torch.testing.assert_close(found(x).detach(), wanted, rtol=0, atol=1e-12)
    assert layer.gate is not None


def test_statements_about_convolutions_are_refused() -> None:
    conv = BASE.conv()
    layer = ex.attention_from_conv(conv).add_content(3)
    with pytest.raises(CertificateError, match=r"Certify layer.without_content\(\)"):
        ex.certify(layer, conv)
    with pytest.raises(NotOneHotError, match=r"has a gate.*without_content\(\)"):
        ex.conv_from_attention(layer)
    with pytest.raises(NotOneHotError, match="has a gate"):
        ex.worst_case_error(layer, conv)
    with pytest.raises(ConvolutionAttributeError, match=r"what tokens hold"):
        layer.weight  # noqa: B018
    with pytest.raises(ArgumentError, match="content terms"):
        ex.to_multihead(layer, size=BASE.size)
    share = float(layer.gate.detach()[0].sigmoid())
    back = ex.conv_from_attention(layer.without_content())
    torch.testing.assert_close(back.weight, share * conv.weight, rtol=1e-14, atol=0)
    assert ex.certify(layer.without_content(), back).bound.max() < 1e-12


def test_the_layer_explains_its_content() -> None:
    layer, x = gated(BASE), BASE.input()
    text = str(layer.explain(x))
    assert "strategy 'auto' runs separable" in text
    assert "content: one attention of all heads by their tokens, whose share" in text
    assert "is 0.12 to 0.88" in text
    assert "gated" in repr(layer)
    assert layer.explain(x).reasons["separable"] is None


def test_the_other_kind_of_content_replaces_this_one() -> None:
    layer, x = ex.attention_from_conv(BASE.conv(), alpha=1.0), BASE.input()
    expected = layer(x).detach()
    layer.add_content(3).add_content_terms(2)
    torch.testing.assert_close(layer(x).detach(), expected, rtol=0, atol=1e-12)
    assert layer.gate is None
    assert layer.add_content(3, gate=None).heads().content is not None
    assert layer.add_content(3).heads().content is None
    assert set(layer.state_dict()) >= {"gate", "query_weight", "key_weight"}
    assert "content_bias" not in layer.state_dict()


@pytest.mark.parametrize("gate", [float("nan"), float("inf"), "4", True])
def test_gates_are_finite_numbers(gate: object) -> None:
    layer = ex.attention_from_conv(BASE.conv())
    with pytest.raises(ArgumentError, match="gate needs a finite number, got"):
        layer.add_content(3, gate=gate)
    assert layer.gate is None
    assert layer.query_weight is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_gates_are_as_exact_as_positions(dtype: torch.dtype) -> None:
    layer = ex.attention_from_conv(BASE.conv(torch.float32), alpha=2.0).add_content(3)
    nn.init.constant_(layer.gate, 4.001)
    x = BASE.input(dtype=torch.float32)
    wide = layer(x).detach()
    layer = layer.to(dtype)
    assert layer.gate.dtype == torch.float32
    assert layer.query_weight.dtype == dtype
    assert float(layer.gate.detach()[0]) == pytest.approx(4.001, rel=1e-6)
    allowed = 20 * torch.finfo(dtype).eps * oracles.output_scale(BASE.conv(), x)
    assert (layer(x.to(dtype)).float() - wide).abs().max() < allowed


def test_a_saved_layer_comes_back(tmp_path: Path) -> None:
    layer, x = gated(BASE), BASE.input()
    layer.gate.requires_grad_(False)
    layer.save(tmp_path)
    again = ex.load(tmp_path)
    assert torch.equal(again(x), layer.eval()(x))
    assert not again.gate.requires_grad
    assert repr(again) == repr(layer)


def test_images_do_not_see_each_other() -> None:
    layer, x = gated(BASE), BASE.input(3)
    together = layer(x)
    for one, image in zip(together, x, strict=True):
        torch.testing.assert_close(layer(image), one, rtol=0, atol=1e-12)


def test_permuting_heads_changes_nothing() -> None:
    layer, x = gated(BASE), BASE.input()
    expected, order = layer(x).detach(), torch.randperm(layer.num_heads)
    with torch.no_grad():
        for name in ("alpha", "centers", "gate", "query_weight", "key_weight"):
            getattr(layer, name).copy_(getattr(layer, name)[order])
        layer.output_weight.copy_(layer.output_weight[..., order])
    torch.testing.assert_close(layer(x).detach(), expected, rtol=0, atol=1e-12)


def test_strategies_agree() -> None:
    pairs = (("separable", "dense"), ("fused", "dense"))
    for case, options, pair in product(CASES[:2], ({}, {"head_dim": 1}), pairs):
        layer = gated(case, **options).requires_grad_()
        laws.assert_strategies_agree(layer, case.input(), pair)


@per_strategy
@pytest.mark.parametrize("alpha", [0.7, None])
def test_a_second_input_is_evaluated_as_the_first(
    alpha: float | None, strategy: str
) -> None:
    case = CASES[0]
    layer = ex.attention_from_conv(case.conv(), alpha=alpha, strategy=strategy)
    layer.add_content(2, gate=0.0).requires_grad_(False)
    first, second = case.input(), replace(case, seed=1).input()
    layer(first)
    found = layer(second)
    torch.testing.assert_close(found, literal(layer, case, second), rtol=0, atol=1e-12)
    layer.gate.fill_(3.0)
    assert (layer(second) - found).abs().max() > 1e-3
    torch.testing.assert_close(
        layer(second), literal(layer, case, second), rtol=0, atol=1e-12
    )
