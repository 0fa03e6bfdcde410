"""convert: the options of a conversion, and those of its heads."""

import pytest
import torch
from torch import nn

import expressivity as ex
from tests.conversion.network.test_convert import small_network


class TestOptions:
    def test_alpha(self):
        conversion = ex.convert(small_network(), alpha=8.0)
        for layer in conversion.layers:
            module = conversion.model.get_submodule(layer.name)
            assert layer.alpha == 8.0
            assert torch.equal(module.alpha, torch.full_like(module.alpha, 8.0))

    def test_tolerance_holds_in_every_layer(self):
        network = small_network()
        for layer in ex.convert(network, tolerance=1e-3).layers:
            conv = network.get_submodule(layer.name)
            worst = ex.worst_case_error(conv, alpha=layer.alpha).max()
            assert layer.worst_case_error == pytest.approx(float(worst))
            assert 1e-4 < layer.worst_case_error <= 1e-3

    def test_head_dim_is_charged_to_the_worst_case(self):
        layers = ex.convert(small_network(), head_dim=1).layers
        assert layers[0].worst_case_error > 1e-3  # rank 3 cut down to 1
        assert layers[1].worst_case_error < 1e-12  # depthwise: rank 1 anyhow

    def test_strategy(self):
        model = ex.convert(small_network(), strategy="dense").model
        assert {model[0].strategy, model[2][1].strategy} == {"dense"}

    @pytest.mark.parametrize("network", [small_network(), nn.Linear(2, 2)])
    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"alpha": 0.0}, ex.errors.ArgumentError, "alpha needs a positive finite"),
            (
                {"alpha": float("nan")},
                ex.errors.ArgumentError,
                "alpha needs a positive",
            ),
            (
                {"tolerance": -1.0},
                ex.errors.ArgumentError,
                "tolerance needs a positive",
            ),
            ({"tolerance": float("inf")}, ex.errors.ArgumentError, "tolerance needs a"),
            ({"alpha": 1.0, "tolerance": 1.0}, ex.errors.ArgumentError, "not both"),
            ({"head_dim": 0}, ex.errors.ArgumentError, "head_dim needs an integer"),
            ({"strategy": "fast"}, ex.errors.StrategyError, "got 'fast'"),
        ],
    )
    def test_out_of_range_are_refused_whatever_the_network(
        self,
        network: nn.Module,
        options: dict[str, object],
        error: type[Exception],
        message: str,
    ):
        with pytest.raises(error, match=message):
            ex.convert(network, **options)


class TestHeads:
    def test_fewest_heads_everywhere(self) -> None:
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.Conv2d(2, 1, 3)
        ).double()
        conversion = ex.convert(model, heads="minimal")
        assert [layer.num_heads for layer in conversion.layers] == [
            ex.head_count(model[0]).minimal().tables.shape[0],
            ex.head_count(model[2]).minimal().tables.shape[0],
        ]
        x = torch.randn(1, 1, 7, 6, dtype=torch.float64)
        torch.testing.assert_close(conversion.model(x), model(x))

    def test_what_tables_do_not_suit_is_kept(self) -> None:
        model = nn.Sequential(
            nn.Conv2d(1, 1, 3, padding=1, padding_mode="replicate"), nn.Conv2d(1, 1, 3)
        )
        first, second = ex.convert(model, heads="minimal").layers
        assert (first.status, second.status) == ("kept", "converted")
        assert "needs tokens wherever a tap can be" in first.reason

    def test_rings_around_every_layer(self) -> None:
        model = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 1))
        conversion = ex.convert(model, alpha=3.0, rings=1)
        assert [layer.num_heads for layer in conversion.layers] == [25, 9]

    def test_options_that_exclude_each_other_are_refused_before_any_layer(self) -> None:
        with pytest.raises(ex.errors.ArgumentError, match="rings undo the smoothing"):
            ex.convert(nn.Linear(1, 1), rings=1)

    @pytest.mark.parametrize(
        ("other", "options"),
        [
            ({"padding": 1, "padding_mode": "replicate"}, {"heads": "minimal"}),
            ({"dilation": 2}, {"alpha": 3.0, "rings": 1}),
        ],
        ids=["a twin that tables do not suit", "a twin with other rings"],
    )
    def test_a_weight_that_layers_cannot_share_stays_shared(
        self, other: dict, options: dict
    ) -> None:
        model = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3, **other)).double()
        model[1].weight = model[0].weight
        conversion = ex.convert(model, **options)
        assert not conversion.converted
        assert conversion.model[0].weight is conversion.model[1].weight

    def test_layers_of_one_geometry_share_their_rings(self) -> None:
        model = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3)).double()
        model[1].weight = model[0].weight
        first, second = ex.convert(model, alpha=3.0, rings=1).model
        assert first.heads().projections[0] is second.heads().projections[0]
