"""Initialisations that a comparison runs beside ours."""

import pytest
import torch
from torch import nn

from expressivity.errors import UnsupportedModuleError
from expressivity.stock import attention_maps, encoder_blocks, init_vit
from expressivity.training.initialisers import (
    INITIALISERS,
    leave,
    mimetic,
    structured,
)
from tests.stock.test_init_vit import TorchVit


def made(width: int = 64) -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    return TorchVit(width=width).double().eval(), torch.rand(2, 1, 8, 8).double()


@pytest.mark.parametrize("name", INITIALISERS)
def test_follow_their_generator_and_keep_the_structure(name: str) -> None:
    states = []
    for _ in range(2):
        model, x = made()
        shapes = {n: p.shape for n, p in model.named_parameters()}
        generator = torch.Generator().manual_seed(3)
        INITIALISERS[name](model, generator=generator)
        assert {n: p.shape for n, p in model.named_parameters()} == shapes
        assert model(x).isfinite().all()
        states.append(model.state_dict())
    assert all(torch.equal(p, states[1][n]) for n, p in states[0].items())


def test_the_default_changes_nothing() -> None:
    model, _ = made()
    before = {n: p.clone() for n, p in model.named_parameters()}
    leave(model)
    assert all(torch.equal(p, before[n]) for n, p in model.named_parameters())


def test_mimetic_products_have_the_stated_diagonals() -> None:
    model, _ = made(width=128)
    mimetic(model, generator=torch.Generator().manual_seed(0))
    for block in encoder_blocks(model):
        values = torch.einsum("whd,hdv->wv", block.output, block.value)
        assert values.diagonal().mean() == pytest.approx(-0.4, abs=0.05)
        off = values - values.diagonal().diag()
        assert off.std() == pytest.approx(0.4 / 128**0.5, rel=0.1)
        for head in range(block.heads):
            product = block.scale * block.query[head].mT @ block.key[head]
            # The best of so few dimensions keeps more than their share of the trace.
            assert product.trace() > 0.7 * block.query.shape[1]


def test_structured_maps_prefer_their_shifts() -> None:
    model, x = made(width=64)
    generator = torch.Generator().manual_seed(5)
    structured(model, generator=generator, strength=8.0)
    twin, _ = made(width=64)
    wanted = init_vit(twin, generator=generator.manual_seed(5))
    with torch.no_grad():
        model.patches.weight.zero_()
        model.patches.bias.zero_()
    first = attention_maps(model, x)[0]
    on_shift = (first * wanted.maps(0)).sum(-1).mean()
    assert on_shift > 0.5  # an even share is 1/16


@pytest.mark.parametrize("name", INITIALISERS)
def test_models_without_blocks_are_refused(name: str) -> None:
    with pytest.raises(UnsupportedModuleError, match="model needs"):
        INITIALISERS[name](nn.Linear(2, 2))
