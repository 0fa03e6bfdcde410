"""What RelativeSelfAttention offers: its options, its attention, its refusals."""

from dataclasses import replace

import pytest
import torch
from torch import nn

import expressivity as ex
from expressivity import RelativeSelfAttention
from expressivity.attention import explain
from tests.cases import BASE, BASE_1D, BASE_3D, MODES, Case

GEOMETRY = ex.ConvGeometry.create((3, 2), padding=1)
X = BASE.input()


def converted(case: Case = BASE, **options: object) -> RelativeSelfAttention:
    return ex.attention_from_conv(case.conv(), **options)


class TestConstruction:
    def test_starts_with_one_soft_head_a_tap(self):
        layer = RelativeSelfAttention(4, 8, GEOMETRY)
        assert layer.num_heads == 6
        assert torch.equal(layer.alpha, torch.ones(6))
        assert torch.equal(layer.centers, GEOMETRY.centers().float())
        assert not layer.bias.any()

    @pytest.mark.parametrize(
        ("channels", "head_dim", "value", "output"),
        [
            ((4, 8), None, None, (1, 8, 4, 6)),
            ((8, 4), None, (1, 4, 8, 6), None),
            ((4, 4), None, None, (1, 4, 4, 6)),
            ((4, 8), 2, (1, 2, 4, 6), (1, 8, 2, 6)),
            ((4, 8), 8, (1, 8, 4, 6), None),
            ((4, 8), 9, (1, 9, 4, 6), (1, 8, 9, 6)),
        ],
    )
    def test_stores_no_identity(
        self,
        channels: tuple[int, int],
        head_dim: int | None,
        value: tuple[int, ...] | None,
        output: tuple[int, ...] | None,
    ):
        layer = RelativeSelfAttention(*channels, GEOMETRY, head_dim=head_dim)
        assert layer.head_dim == (head_dim or 4)
        found = (layer.value_weight, layer.output_weight)
        assert tuple(w if w is None else tuple(w.shape) for w in found) == (
            value,
            output,
        )

    def test_stores_only_the_blocks_of_groups(self):
        layer = RelativeSelfAttention(4, 8, GEOMETRY, groups=4)
        assert layer.output_weight.shape == (4, 2, 1, 6)

    def test_makes_parameters_in_the_dtype_asked_for(self):
        layer = RelativeSelfAttention(4, 8, GEOMETRY, key_dim=2, dtype=torch.float64)
        assert {p.dtype for p in layer.parameters()} == {torch.float64}

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (
                {"in_channels": 0},
                "in_channels needs an integer of at least 1",
            ),
            (
                {"out_channels": -1},
                "out_channels needs an integer of at least 1",
            ),
            (
                {"groups": 0},
                "groups needs an integer of at least 1",
            ),
            (
                {"num_heads": 0},
                "num_heads needs an integer of at least 1",
            ),
            (
                {"head_dim": 0},
                "head_dim needs an integer of at least 1",
            ),
            (
                {"key_dim": 0},
                "key_dim needs an integer of at least 1",
            ),
            ({"groups": 3}, "groups needs to divide the channels, got groups=3"),
        ],
    )
    def test_refuses_numbers_out_of_range(self, options: dict[str, int], message: str):
        defaults = {"in_channels": 4, "out_channels": 8, "geometry": GEOMETRY}
        with pytest.raises(ex.errors.ArgumentError, match=message):
            RelativeSelfAttention(**(defaults | options))

    def test_repr_names_what_differs_from_the_default(self):
        assert repr(RelativeSelfAttention(1, 2, ex.ConvGeometry.create((3,)))) == (
            "RelativeSelfAttention(1, 2, heads=3, kernel_size=(3,), stride=(1,), "
            "head_dim=1)"
        )
        geometry = ex.ConvGeometry.create(
            (3, 3), stride=2, padding=2, dilation=2, padding_mode="reflect"
        )
        layer = RelativeSelfAttention(4, 8, geometry, groups=2, key_dim=5)
        assert repr(layer) == (
            "RelativeSelfAttention(4, 8, heads=9, kernel_size=(3, 3), stride=(2, 2), "
            "padding=((2, 2), (2, 2)), padding_mode='reflect', dilation=(2, 2), "
            "head_dim=2, groups=2, key_dim=5)"
        )


class TestStrategy:
    @pytest.mark.parametrize("name", ["auto", "separable", "dense"])
    def test_can_be_set_at_any_time(self, name: str):
        layer = converted()
        layer.strategy = name
        assert layer.strategy == name
        torch.testing.assert_close(layer(X), BASE.conv()(X), rtol=0, atol=1e-12)

    def test_unknown_names_are_refused(self):
        layer = converted()
        with pytest.raises(
            ex.errors.StrategyError, match=r"one of \['auto', .*got 'fast'"
        ):
            layer.strategy = "fast"
        assert layer.strategy == "auto"
        with pytest.raises(ex.errors.StrategyError, match="got 'fast'"):
            RelativeSelfAttention(4, 8, GEOMETRY, strategy="fast")


class TestAttentionProbabilities:
    def test_refuse_what_would_not_fit(self):
        with pytest.raises(ex.errors.StrategyError, match=r"need \S+ GiB at once"):
            converted().attention_probabilities(size=(3000, 3000))

    @pytest.mark.parametrize("alpha", [1e-3, 1.0, 40.0, 1e4])
    def test_rows_sum_to_one(self, alpha: float):
        rows = converted(alpha=alpha).attention_probabilities(size=(6, 5)).sum(-1)
        torch.testing.assert_close(rows, torch.ones_like(rows), rtol=0, atol=1e-14)

    @pytest.mark.parametrize("mode", MODES)
    @pytest.mark.parametrize("base", [BASE_1D, BASE, BASE_3D], ids=str)
    def test_each_head_looks_at_its_target(self, base: Case, mode: str):
        case = Case(**(vars(base) | {"padding_mode": mode, "stride": 2, "padding": 1}))
        layer = converted(case)
        probabilities = layer.attention_probabilities(size=case.size)
        canvas = layer.geometry.canvas_size(case.size)
        queries = layer.geometry.queries(case.size)
        assert probabilities.shape == (
            layer.num_heads,
            torch.Size(map(len, queries)).numel(),
            torch.Size(canvas).numel(),
        )
        grid = torch.cartesian_prod(*(torch.tensor(q) for q in queries))
        targets = grid.reshape(1, -1, len(canvas)) + layer.centers[:, None].long()
        last = torch.tensor(canvas) - 1
        nearest = targets.clamp(min=torch.zeros_like(last), max=last)
        index = torch.zeros_like(nearest[..., 0])
        for axis, tokens in enumerate(canvas):
            index = index * tokens + nearest[..., axis]
        assert torch.equal(probabilities.argmax(-1), index)

    def test_are_the_softmax_of_the_scores(self):
        layer = converted(alpha=0.5)
        scores = layer.scores(size=(6, 5))
        assert scores.max() == 0  # at the target
        torch.testing.assert_close(
            layer.attention_probabilities(size=(6, 5)),
            scores.exp() / scores.exp().sum(-1)[..., None],
        )

    def test_reproduce_the_output(self):
        layer = converted(Case(bias=False), alpha=0.5)
        canvas = layer.geometry.canvas(X).flatten(2)
        attended = layer.attention_probabilities(size=(6, 5)) @ canvas.mT[:, None]
        output = torch.einsum("bhqc,och->boq", attended, layer.output_weight[0])
        torch.testing.assert_close(layer(X).flatten(2), output, rtol=0, atol=1e-12)

    def test_do_not_depend_on_the_input_after_a_conversion(self):
        layer = converted()
        assert torch.equal(
            layer.attention_probabilities(x=X),
            layer.attention_probabilities(size=(6, 5)),
        )

    def test_depend_on_the_input_with_content_terms(self):
        layer = converted(alpha=1.0).add_content_terms(2)
        nn.init.normal_(layer.query_weight)
        found = layer.attention_probabilities(x=X)
        assert found.shape == (2, 6, 36, 56)
        assert (found[0] - found[1]).abs().max() > 1e-3
        torch.testing.assert_close(found[1], layer.attention_probabilities(x=X[1])[0])

    @pytest.mark.parametrize("name", ["scores", "attention_probabilities"])
    def test_refuse_wrong_calls(self, name: str):
        layer = converted()
        look = getattr(layer, name)
        with pytest.raises(ex.errors.ArgumentError, match="got neither"):
            look()
        with pytest.raises(ex.errors.ArgumentError, match="got both"):
            look(size=(6, 5), x=X)
        with pytest.raises(ex.errors.InputError, match="at least 3 pixels"):
            look(size=(0, 5))
        layer.add_content_terms(2)
        with pytest.raises(ex.errors.ArgumentError, match="pass it as x="):
            look(size=(6, 5))

    @pytest.mark.parametrize("name", ["scores", "attention_probabilities"])
    def test_positional_sizes_are_deprecated(self, name: str):
        layer = converted()
        look = getattr(layer, name)
        with pytest.warns(DeprecationWarning, match=r"pass size=\(6, 5\)"):
            former = look(6, 5)
        assert torch.equal(former, look(size=(6, 5)))
        with pytest.raises(ex.errors.ArgumentError, match="the size once"):
            look(6, 5, size=(6, 5))

    def test_refuse_another_number_of_axes(self):
        # One channel, so that a missing axis could pass for a missing batch.
        layer = ex.attention_from_conv(nn.Conv2d(1, 1, (1, 3)))
        for size in [(6,), (6, 5, 4)]:
            with pytest.raises(ex.errors.InputError, match=f"2 axes.*{len(size)}"):
                layer.attention_probabilities(size=size)


def test_the_layer_explains_what_it_does():
    layer = converted()
    assert layer.explain(X) == explain(layer, X)
    assert layer.explain(X).chosen == "separable"
    with pytest.raises(ex.errors.InputError, match="takes 4 channels"):
        layer.explain(X[:, :2])


class TestContentTerms:
    def test_start_without_effect_but_with_gradients(self):
        layer = converted(alpha=1.0)
        expected = layer(X)
        assert layer.add_content_terms(3) is layer
        torch.testing.assert_close(layer(X), expected, rtol=0, atol=1e-12)
        layer(X).square().sum().backward()
        assert layer.query_weight.grad.any()
        assert layer.content_bias.grad.any()
        assert layer.query_weight.shape == layer.key_weight.shape == (6, 3, 4)
        assert layer.position_weight.shape == (6, 3, 3)

    def test_rule_out_the_separable_strategy(self):
        layer = converted().add_content_terms(2)
        assert explain(layer, X).chosen == "dense"
        layer.strategy = "separable"
        with pytest.raises(
            ex.errors.StrategyError, match="content scores do not factorise"
        ):
            layer(X)


class TestMaterializedProjections:
    @pytest.mark.parametrize("strategy", ["separable", "dense"])
    @pytest.mark.parametrize(
        ("case", "name", "shape"),
        [
            (BASE, "value_weight", (1, 4, 4, 6)),
            (Case(in_channels=8, out_channels=4), "output_weight", (1, 4, 4, 6)),
            (Case(groups=4), "value_weight", (4, 1, 1, 6)),
        ],
        ids=str,
    )
    def test_become_parameters_that_change_nothing(
        self, case: Case, name: str, shape: tuple[int, ...], strategy: str
    ):
        layer, x = converted(case, alpha=1.0, strategy=strategy), case.input()
        expected = layer(x)
        assert getattr(layer, name) is None
        assert layer.materialize_projections() is layer
        assert getattr(layer, name).shape == shape
        assert name in dict(layer.named_parameters())
        torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-12)
        layer(x).square().sum().backward()
        assert getattr(layer, name).grad.any()

    def test_are_not_made_twice(self):
        layer = converted().materialize_projections()
        weight = layer.value_weight
        assert layer.materialize_projections().value_weight is weight


class TestInputs:
    @pytest.mark.parametrize(
        ("x", "message"),
        [
            (torch.zeros(4, 6), "2 axes.*got 2 dimensions"),
            (torch.zeros(1, 1, 4, 6, 5), "2 axes.*got 5 dimensions"),
            (torch.zeros(2, 3, 6, 5), "takes 4 channels, got 3"),
            (torch.zeros(3, 6, 5), "takes 4 channels, got 3"),
            (torch.zeros(2, 4, 0, 5), "axis 0.*at least 3 pixels.*got 0"),
            (torch.zeros(2, 4, 6, 0), "axis 1.*got 0"),
            (
                torch.zeros(2, 4, 6, 5).double(),
                "takes torch.float32, got torch.float64",
            ),
            (torch.zeros(2, 4, 6, 5).half(), "takes torch.float32, got torch.float16"),
            (torch.zeros(2, 4, 6, 5).long(), "takes torch.float32, got torch.int64"),
        ],
    )
    def test_that_do_not_suit_are_refused(self, x: torch.Tensor, message: str):
        layer = ex.attention_from_conv(BASE.conv(torch.float32))
        with pytest.raises(ex.errors.InputError, match=message):
            layer(x)

    def test_integers_are_refused_under_autocast_too(self):
        layer = ex.attention_from_conv(BASE.conv(torch.float32))
        with (
            torch.autocast("cpu", torch.bfloat16),
            pytest.raises(ex.errors.InputError, match=r"got torch\.int64"),
        ):
            layer(torch.zeros(2, 4, 6, 5).long())

    def test_smaller_than_the_kernel_is_refused(self):
        layer = ex.attention_from_conv(nn.Conv2d(1, 1, 5, padding=1))
        with pytest.raises(ex.errors.InputError, match="at least 5 pixels"):
            layer(torch.zeros(1, 1, 2, 9))

    @pytest.mark.parametrize(("mode", "widest"), [("reflect", 2), ("circular", 3)])
    def test_narrower_than_their_padding_are_refused(self, mode: str, widest: int):
        conv = nn.Conv2d(1, 1, 3, padding=widest + 1, padding_mode=mode)
        layer = ex.attention_from_conv(conv)
        with pytest.raises(
            ex.errors.InputError, match=f"{mode} .* at most {widest} wide"
        ):
            layer(torch.zeros(1, 1, 3, 9))


class TestStrengthsOutOfRange:
    @pytest.mark.parametrize("strategy", ["separable", "fused", "dense"])
    @pytest.mark.parametrize("wrong", [-0.5, float("nan"), float("inf")])
    def test_are_refused(self, wrong: float, strategy: str):
        layer = converted(alpha=1.0, strategy=strategy)
        layer(X)
        with torch.no_grad():
            layer.alpha[2] = wrong
        with pytest.raises(
            ex.errors.ArgumentError,
            match=rf"got {wrong:.4g} in head 2 \(1 of 6 heads\): call .*clamp_alpha",
        ):
            layer(X)

    @pytest.mark.parametrize("bias", [True, False])
    def test_give_no_numbers_where_nobody_reads_them(self, bias: bool):
        layer = converted(replace(BASE, bias=bias), alpha=1.0)
        parameters = {n: p.detach() for n, p in layer.named_parameters()}

        def run(alpha: torch.Tensor) -> torch.Tensor:
            values = parameters | {"alpha": alpha}
            return torch.func.functional_call(layer, values, (X,))

        alphas = torch.ones(4, 6, dtype=torch.float64)
        alphas[1, 3], alphas[2, 0] = -0.5, float("nan")
        right, negative, nan, also_right = torch.func.vmap(run)(alphas)
        torch.testing.assert_close(right, layer(X))
        torch.testing.assert_close(also_right, right)
        assert negative.isnan().all()
        assert nan.isnan().all()

    def test_zero_is_in_range(self):
        layer = converted(alpha=1.0)
        nn.init.zeros_(layer.alpha)
        assert layer(X).isfinite().all()
