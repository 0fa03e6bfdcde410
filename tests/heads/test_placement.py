"""What an object that tracers guard knows about α and the centers."""

import copy
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import nn

import expressivity as ex
from expressivity.heads import placement
from tests.cases import BASE


class TestPlacement:
    @pytest.mark.parametrize(
        "change",
        [
            lambda layer: layer,
            copy.deepcopy,
            lambda layer: pickle.loads(pickle.dumps(layer)),
            lambda layer: layer.float(),
            lambda layer: layer.to_empty(device="cpu"),
            lambda layer: layer.to("meta"),
            lambda layer: setattr(layer, "alpha", nn.Parameter(torch.ones(6))) or layer,
            lambda layer: (
                layer.load_state_dict(copy.deepcopy(layer.state_dict()), assign=True)
                and layer
            ),
        ],
    )
    def test_holds_the_parameters_of_its_layer(self, change: Callable[..., nn.Module]):
        layer = change(ex.attention_from_conv(BASE.conv()))
        assert layer._placement.alpha is layer.alpha
        assert layer._placement.centers is layer.centers

    def test_does_not_answer_for_other_tensors(self):
        layer = ex.attention_from_conv(BASE.conv())
        find, alpha, centers = layer.heads().placement, layer.alpha, layer.centers
        assert placement.placement_of(find, alpha, centers) is layer._placement
        assert placement.placement_of(find, alpha.detach(), centers) is None
        assert placement.placement_of(find, alpha, centers.clone()) is None
        assert placement.placement_of(None, alpha, centers) is None

    def test_there_are_no_numbers_on_the_meta_device(self):
        layer = ex.attention_from_conv(BASE.conv()).to("meta")
        assert layer._placement.values() is None
        assert layer._placement.ask(lambda values: 1) is None
