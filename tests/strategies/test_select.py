"""The strategies: what each computes, refuses and costs, and how one is chosen."""

import re
import sys
from dataclasses import replace
from typing import Any

import pytest
import torch

import expressivity as ex
from expressivity.attention import explain
from expressivity.errors import ArgumentError, StrategyError
from expressivity.geometry.grid import Grid
from expressivity.heads.parameters import Heads
from expressivity.strategies import STRATEGIES, dense, fused
from expressivity.strategies import explain as explain_choice
from tests import allocations, laws, oracles
from tests.cases import BASE, BASE_1D, BASE_3D, DTYPES, MODES, Case

NO_TABLE = "without a table heads attend to the whole canvas, not to a window"
one_of_each = pytest.mark.parametrize("case", [BASE, BASE_1D, BASE_3D], ids=str)


def with_content(
    case: Case, key_dim: int = 3, **options: Any
) -> ex.RelativeSelfAttention:
    """Return a converted layer with random content terms."""
    attention = ex.attention_from_conv(case.conv(), alpha=0.5, **options)
    attention.add_content_terms(key_dim)
    with torch.no_grad():
        attention.query_weight.normal_(0, 0.5)
        attention.content_bias.normal_()
    return attention


def literal_twin(attention: ex.RelativeSelfAttention, case: Case) -> Any:
    """Return the nested loops of equation 8 with the parameters of a layer."""
    literal = oracles.literal_conversion(case.conv(), 0.0)
    content = oracles.Content(
        query=attention.query_weight.detach().mT,
        key=attention.key_weight.detach().mT,
        position_key=attention.position_weight.detach().mT,
        bias=attention.content_bias.detach(),
    )
    return replace(
        literal,
        alpha=attention.alpha.tolist(),
        centers=attention.centers.tolist(),
        content=content,
    )


class TestDense:
    @pytest.mark.parametrize(
        "case",
        [
            BASE_1D,
            replace(BASE_3D, size=(2, 1, 2)),
            replace(BASE, stride=2, groups=2),
            replace(BASE, dilation=2, size=(4, 3), padding=2),
            *(replace(BASE, size=(3, 4), padding_mode=mode) for mode in MODES),
            replace(BASE, size=(3, 4), padding=(3, 4), padding_mode="replicate"),
        ],
        ids=str,
    )
    def test_all_four_terms_are_equation_8(self, case: Case) -> None:
        attention = with_content(case)
        with torch.no_grad():
            attention.alpha.uniform_(0.1, 2)
            attention.centers.add_(torch.randn_like(attention.centers))
            output = attention(case.input())
        expected = literal_twin(attention, case)(case.input())
        torch.testing.assert_close(output, expected, rtol=1e-12, atol=1e-12)

    @one_of_each
    def test_new_content_terms_change_no_output(self, case: Case) -> None:
        attention, x = ex.attention_from_conv(case.conv(), alpha=0.5), case.input()
        with torch.no_grad():
            before = attention(x)
            after = attention.add_content_terms(2)(x)
        torch.testing.assert_close(after, before, rtol=0, atol=laws.ROUNDING)

    @pytest.mark.parametrize("content", [None, "terms", "gated"])
    @pytest.mark.parametrize("batch", [1, 4])
    @pytest.mark.parametrize("dtype", DTYPES[1:], ids=str)
    @pytest.mark.parametrize(
        "case",
        [
            replace(BASE, size=(16, 14)),
            replace(BASE, size=(16, 14), groups=4),
            replace(BASE, size=(8, 8), in_channels=64, out_channels=64),
            replace(BASE_1D, size=(200,)),
            replace(BASE_3D, size=(6, 4, 5)),
        ],
        ids=str,
    )
    @torch.no_grad()
    def test_says_what_memory_it_takes(
        self, case: Case, dtype: torch.dtype, batch: int, content: str | None
    ) -> None:
        attention = ex.attention_from_conv(case.conv(dtype), strategy="dense")
        if content is not None:
            attention.add_content(3, *([] if content == "gated" else [None]))
        x = case.input(batch, dtype=dtype)
        grid = Grid.of(attention.geometry, case.size)
        with torch.no_grad():
            stated = dense.bytes_needed(attention.heads(), grid, x)
            taken = allocations.peak_bytes(lambda: attention(x))
        # Temporaries that do not grow with the pairs are left out of the estimate.
        assert 0.95 * taken < stated < 2 * taken, stated / taken

    @pytest.mark.parametrize("positions", [True, False])
    @pytest.mark.parametrize("head_dim", [None, 16])
    def test_estimate_covers_the_backward_pass(
        self, head_dim: int | None, positions: bool
    ) -> None:
        conv = torch.nn.Conv2d(3, 8, 3)
        attention = ex.attention_from_conv(conv, strategy="dense", head_dim=head_dim)
        for position in (attention.alpha, attention.centers):
            position.requires_grad_(positions)
        x = torch.randn(2, 3, 20, 20)
        grid = Grid.of(attention.geometry, (20, 20))
        stated = dense.bytes_needed(attention.heads(), grid, x)
        taken = allocations.peak_bytes(lambda: attention(x).sum().backward())
        assert 0.95 * taken < stated < 2 * taken, stated / taken

    @pytest.mark.parametrize(("recorded", "pairs"), [(False, 2.25), (True, 4.25)])
    def test_refuses_before_it_allocates(self, recorded: bool, pairs: float) -> None:
        conv = torch.nn.Conv2d(1, 1, 7)
        attention = ex.attention_from_conv(conv, strategy="dense").requires_grad_()
        x = torch.zeros(1, 1, 1, 1).expand(1, 1, 2048, 2048)
        needed = pairs * 49 * 2042**2 * 2048**2 * 4 / dense.GIB

        def refused() -> None:
            with pytest.raises(StrategyError, match=r"need \S+ GiB .* free") as caught:
                attention(x)
            stated = re.search(r"need (\S+) GiB", str(caught.value))[1]
            assert float(stated) == pytest.approx(needed, rel=0.01)

        with torch.set_grad_enabled(recorded):
            assert allocations.peak_bytes(refused) < 2**20

    def test_refuses_by_the_memory_that_is_free_now(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        attention = ex.attention_from_conv(BASE.conv(), strategy="dense")
        x = BASE.input()
        grid = Grid.of(attention.geometry, BASE.size)
        needed = dense.bytes_needed(attention.heads(), grid, x)
        for free, allowed in ((needed, True), (needed - 1, False)):
            monkeypatch.setattr(dense, "free_bytes", lambda _, free=free: free)
            assert (explain(attention, x).chosen == "dense") is allowed


class TestChoice:
    def test_separable_is_preferred(self) -> None:
        attention = ex.attention_from_conv(BASE.conv())
        explanation = explain(attention, BASE.input())
        assert explanation.requested == "auto"
        assert explanation.chosen == "separable"
        assert explanation.reasons == {
            "separable": None,
            "normalised": NO_TABLE,
            "fused": None,
            "dense": None,
        }
        assert str(explanation).splitlines() == [
            "strategy 'auto' runs separable",
            "  * separable: one smoothing per group of heads, then a convolution",
            (
                "      6 heads saturated: 1.1e-16 of the attention is off its pixel, "
                "below the rounding of float64: no smoothing is needed until alpha or "
                "centers change"
            ),
            f"  - normalised: cannot run: {NO_TABLE}",
            "  - fused: a fused attention kernel per head, on absolute positions",
            "  - dense: every query against every key, materialised: the definition",
        ]

    @pytest.mark.parametrize(("few", "chosen"), [(0, "fused"), (2**21, "dense")])
    def test_content_terms_take_the_faster_one(
        self, few: int, chosen: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys.modules[explain_choice.__module__], "FEW_SCORES", few)
        attention = with_content(BASE)
        explanation = explain(attention, BASE.input())
        assert explanation.chosen == chosen
        assert "- separable: cannot run: content scores" in str(explanation)
        assert f"* {chosen}: " in str(explanation)
        outputs = [
            laws.with_strategy(attention, name)(BASE.input())
            for name in ("auto", chosen)
        ]
        assert torch.equal(*outputs)

    def test_the_number_of_scores_decides(self) -> None:
        case = replace(BASE_1D, padding=0, size=(32,))
        attention = with_content(case)  # 3 heads, 30 queries, 32 keys
        for batch, chosen in ((728, "dense"), (729, "fused")):
            x = case.input(1).expand(batch, -1, -1)
            assert explain(attention, x).chosen == chosen

    def test_small_content_without_memory_takes_fused(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(dense, "free_bytes", lambda _: 0)
        assert explain(with_content(BASE), BASE.input()).chosen == "fused"

    def test_a_named_strategy_is_taken_and_marked(self) -> None:
        attention = ex.attention_from_conv(BASE.conv(), strategy="dense")
        explanation = explain(attention, BASE.input())
        assert (explanation.requested, explanation.chosen) == ("dense", "dense")
        assert "  * dense:" in str(explanation)
        assert "  - separable:" in str(explanation)

    def test_every_reason_is_given_when_nothing_can_run(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(dense, "free_bytes", lambda _: 0)
        monkeypatch.setattr(fused.Fused, "why_not", lambda *_: "no kernel")
        attention = with_content(BASE)
        explanation = explain(attention, BASE.input())
        assert explanation.chosen is None
        assert "runs nothing" in str(explanation)
        with pytest.raises(
            StrategyError, match=r"(?s)dense cannot.*separable cannot.*fused cannot"
        ):
            attention(BASE.input())

    @pytest.mark.parametrize("name", ["flash", "", "Dense", None])
    def test_refuses_names_of_no_strategy(self, name: Any) -> None:
        with pytest.raises(StrategyError, match=r"needs one of .*'dense'"):
            ex.attention_from_conv(BASE.conv(), strategy=name)
        attention = ex.attention_from_conv(BASE.conv())
        with pytest.raises(StrategyError, match="strategy needs one of"):
            attention.strategy = name
        assert attention.strategy == "auto"

    def test_names_are_unique(self) -> None:
        names = [strategy.name for strategy in STRATEGIES]
        assert len(set(names)) == len(names)
        assert all(strategy.summary for strategy in STRATEGIES)


def test_heads_need_one_projection() -> None:
    with pytest.raises(ArgumentError, match="cannot both be the identity"):
        Heads(torch.ones(2), torch.zeros(2, 1), None, None)
