"""convert(tolerance=, inputs=): each layer as soft as the outputs allow."""

import copy
import json
from itertools import pairwise

import pytest
import torch
from torch import nn

import expressivity as ex
from expressivity.errors import ArgumentError, InputError


def network() -> nn.Module:
    """Return a network whose last layer hardly matters, and the second much."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.Tanh(),
        nn.Conv2d(4, 4, 3, padding=1),
        nn.Dropout(0.5),
        nn.Conv2d(4, 4, 3),
        nn.ConvTranspose2d(4, 2, 2),
    )
    with torch.no_grad():
        model[2].weight.mul_(5)
        model[4].weight.mul_(1e-2)
        model[5].weight.mul_(10)
    return model


X = torch.rand(4, 1, 9, 8, generator=torch.Generator().manual_seed(0))


def gap(model: nn.Module, other: nn.Module, x: torch.Tensor = X) -> float:
    models = [copy.deepcopy(each).eval() for each in (model, other)]
    return ex.compare(*models, [x]).largest


@pytest.mark.parametrize("tolerance", [1e-4, 1e-2, 0.05])
def test_the_measured_difference_is_within_the_tolerance(tolerance: float) -> None:
    model = network()
    conversion = ex.convert(model, tolerance=tolerance, inputs=X)
    found = gap(model, conversion.model)
    assert conversion.end_to_end.measured == pytest.approx(found, rel=1e-3)
    assert 0.8 * tolerance < found <= tolerance
    assert conversion.end_to_end.tolerance == tolerance
    assert conversion.model.training


def test_strengths_are_the_smallest_in_common() -> None:
    model = network()
    conversion = ex.convert(model, tolerance=1e-2, inputs=X)
    softer = copy.deepcopy(conversion.model)
    with torch.no_grad():
        for layer in softer.modules():
            if isinstance(layer, ex.RelativeSelfAttention):
                layer.alpha.sub_(0.1).clamp_(min=2**-6)
    assert gap(model, softer) > 1e-2


def test_layers_that_matter_more_are_sharper() -> None:
    model = network()
    conversion = ex.convert(model, tolerance=1e-2, inputs=X)
    alone = {
        record.alpha: gap(model, ex.convert(model, alpha=4.0, where=record.name).model)
        for record in conversion.converted
    }
    assert len(alone) == 3
    assert sorted(alone) == sorted(alone, key=alone.__getitem__)
    # The error of each falls like e^−α, so that all have about one share.
    shares = [effect * 2.718 ** (4 - alpha) for alpha, effect in alone.items()]
    assert max(shares) == pytest.approx(min(shares), rel=0.05)


def test_a_larger_tolerance_is_softer() -> None:
    sums = [
        sum(r.alpha for r in ex.convert(network(), tolerance=t, inputs=X).converted)
        for t in (1e-4, 1e-3, 1e-2, 1e-1)
    ]
    assert all(after < before for before, after in pairwise(sums))


def test_soft_layers_are_trained_and_records_follow() -> None:
    model = network()
    conversion = ex.convert(model, tolerance=1e-2, inputs=X)
    for record in conversion.converted:
        layer = conversion.model.get_submodule(record.name)
        assert layer.alpha.requires_grad
        assert layer.centers.requires_grad
        assert record.alpha == float(layer.alpha.detach()[0])
        conv = model.get_submodule(record.name)
        worst = float(ex.worst_case_error(conv, alpha=record.alpha).max())
        assert record.worst_case_error == pytest.approx(worst)
    assert [record.status for record in conversion.layers][-1] == "kept"


def test_what_is_measured_is_told_from_what_is_certified() -> None:
    conversion = ex.convert(network(), tolerance=1e-2, inputs=X)
    text = str(conversion)
    assert "end to end on the given inputs, within 0.01; certified is each" in text
    loaded = json.loads(json.dumps(conversion.to_dict()))
    assert loaded["end_to_end"]["tolerance"] == 1e-2
    assert ex.convert(network(), tolerance=1e-2).end_to_end is None
    assert ex.convert(network(), inputs=X).to_dict()["end_to_end"] is None


def test_one_layer_used_twice_has_one_strength() -> None:
    conv = nn.Conv2d(2, 2, 3, padding=1)
    model = nn.Sequential(conv, nn.ReLU(), conv)
    x = torch.rand(1, 2, 6, 6)
    conversion = ex.convert(model, tolerance=1e-3, inputs=x)
    assert conversion.model[0] is conversion.model[2]
    assert 5e-4 < gap(model, conversion.model, x) <= 1e-3


def test_a_network_without_convolutions_is_measured_too() -> None:
    conversion = ex.convert(nn.Linear(2, 2), tolerance=1e-3, inputs=torch.rand(1, 2))
    assert conversion.end_to_end.measured == 0


def test_a_tolerance_below_rounding_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"needs to be at least .*sharpest"):
        ex.convert(network(), tolerance=1e-12, inputs=X, strategy="dense")


def test_inputs_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="inputs needs what the given model"):
        ex.convert(network(), tolerance=1e-2, inputs=torch.rand(1, 3, 9, 9))
