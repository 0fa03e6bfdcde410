"""The benchmark: what is measured is what is said, and the report follows from it."""

import json
import math
import os
import platform
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import expressivity as ex
from expressivity.bench import (
    Document,
    Measurement,
    growth_exponent,
    read_document,
    run_suites,
    suites,
    targets,
)
from expressivity.bench import contenders as of
from expressivity.bench.document import BASELINE
from expressivity.bench.resnet import LayerShape, layer_shapes, resnet50
from expressivity.bench.suites import Setting
from expressivity.bench.timing import peak_bytes, race
from expressivity.bench.trained import (
    FROZEN,
    OWN,
    TIED,
    TrainedShape,
    steps,
    tie_alpha,
)
from expressivity.plots import plot_growth
from tests.compilers import needs_inductor

CPU = torch.device("cpu")
TINY = Setting(
    seconds=0.0,
    limit=0.001,
    image=32,
    layers=1,
    trained=1,
    nine=8,
    unequal=4,
    growth=(4, 8),
    large=8,
    content=(4,),
    others=False,
)
MADE_UP = Document(
    "full",
    "cpu",
    "float32",
    {"processor": "abacus", "threads": 1, "torch": "2.6"},
    tuple(
        Measurement(suite, case, name, count, tokens, seconds, 0.0, 9.0, 5, ratio, held)
        for suite, case, name, count, tokens, seconds, ratio, held in [
            (suites.RESNET, "a", BASELINE, 3, 64, 1.0, 1.0, 10),
            (suites.RESNET, "a", of.HARD, 3, 64, 2.0, 2.0, 10),
            (suites.RESNET, "b", of.HARD, 1, 64, 0.5, 0.5, 10),
            (suites.GROWTH, "c", of.SOFT, 1, 64**2, 1.0, 1.0, 10),
            (suites.GROWTH, "c", of.SOFT, 1, 1024**2, 256**1.5, 1.0, 10),
            (suites.NINE_HEADS, "d", of.HARD, 1, 56**2, 0.01, 1.0, 10),
            (suites.NINE_HEADS, "d", of.DENSE, 1, 56**2, 4.0, 400.0, 900),
        ]
    ),
    {suites.CONVERT_SECONDS: 3.0},
)


class TestTiming:
    def test_a_slower_function_takes_longer_by_its_difference(self) -> None:
        times = race(
            {"short": lambda: None, "long": lambda: time.sleep(0.01)},
            device=CPU,
            seconds=0.1,
        )
        assert times["short"].median < 0.005 < 0.01 <= times["long"].median < 0.05
        assert times["long"].low <= times["long"].median <= times["long"].high

    def test_all_are_called_equally_often_and_in_changing_order(self) -> None:
        calls: list[str] = []
        names = ("a", "b", "c")
        times = race(
            {name: (lambda name=name: calls.append(name)) for name in names},
            device=CPU,
            seconds=1e-6,
        )
        assert {times[name].rounds for name in names} == {5}
        rounds = [tuple(calls[-3 * n :][:3]) for n in range(1, 6)]
        assert all(set(one) == set(names) for one in rounds)
        assert len(set(rounds)) > 1

    def test_memory_is_what_a_call_allocates(self) -> None:
        assert peak_bytes(lambda: torch.empty(1000), CPU) == 4000
        kept = torch.empty(500)
        assert peak_bytes(kept.neg_, CPU) == 0
        both = peak_bytes(lambda: [torch.empty(250), torch.empty(250)], CPU)
        assert both == 2000


class TestLayers:
    def test_are_those_of_resnet50(self) -> None:
        shapes = layer_shapes()
        assert sum(shapes.values()) == 53
        assert shapes[LayerShape(3, 64, 7, 2, 224)] == 1
        assert shapes[LayerShape(512, 512, 3, 1, 7)] == 2
        # Torchvision's own count, less the classifier and the normalisations.
        weights = sum(
            count * shape.in_channels * shape.out_channels * shape.kernel_size**2
            for shape, count in shapes.items()
        )
        assert weights == 23_454_912
        assert sum(p.numel() for p in resnet50().parameters()) == 25_557_032

    def test_keep_the_size_they_name(self) -> None:
        shape = LayerShape(4, 6, 3, 2, 9)
        output = shape.conv(CPU, torch.float64)(
            torch.zeros(1, 4, 9, 9, dtype=torch.float64)
        )
        assert output.shape == (1, 6, 5, 5)
        assert str(shape) == "3×3, 4 → 6 at 9², stride 2"


class TestContenders:
    def test_unequal_heads_are_one_layer_evaluated_twice(self) -> None:
        conv, x = torch.nn.Conv2d(4, 4, 3, padding=1), torch.randn(1, 4, 6, 5)
        separable, dense = of.unequal(conv, x).values()
        torch.testing.assert_close(separable(), dense(), rtol=0, atol=1e-5)
        assert (separable() - conv(x)).abs().max() > 1e-2

    @pytest.mark.parametrize("content", [None, 3])
    def test_quadratic_evaluations_agree(self, content: int | None) -> None:
        conv, x = torch.nn.Conv2d(4, 4, 3, padding=1), torch.randn(1, 4, 6, 5)
        found = of.quadratic(conv, x, content=content, limit=1.0)
        fused, dense = found.values()
        torch.testing.assert_close(fused(), dense(), rtol=0, atol=1e-5)

    def test_what_would_take_too_long_is_not_tried(self) -> None:
        conv, x = torch.nn.Conv2d(1, 1, 3, padding=1), torch.zeros(1, 1, 512, 512)
        for reason in of.quadratic(conv, x, content=None, limit=1.0).values():
            assert isinstance(reason, str)
            assert "s a call, more than the 1 s" in reason

    @pytest.mark.compiled
    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    @pytest.mark.filterwarnings("ignore::FutureWarning")
    @pytest.mark.filterwarnings("ignore::UserWarning")
    @needs_inductor
    def test_flex_attention_has_the_probabilities_of_the_layer(self) -> None:
        conv, x = torch.nn.Conv2d(16, 16, 3, padding=1), torch.randn(1, 16, 5, 6)
        found = of.others(conv, x, limit=1.0)
        assert "cannot express a padded convolution" in found[of.NATTEN]
        flex = found[of.FLEX]
        assert callable(flex), flex
        attention = ex.attention_from_conv(conv, alpha=4.0)
        with torch.no_grad():
            tokens = attention.geometry.canvas(x).flatten(2).mT
            expected = attention.attention_probabilities(size=(5, 6)) @ tokens
            torch.testing.assert_close(flex()[0], expected, rtol=0, atol=1e-5)

    @pytest.mark.compiled
    @needs_inductor
    @pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc fills memory")
    def test_flex_attention_reads_nothing_past_its_tokens(self) -> None:
        # Freed memory is filled with ones bit by bit: NaN.
        environment = {"ATEN_CPU_CAPABILITY": "avx2", "MALLOC_PERTURB_": "255"}
        code = (
            "import torch\n"
            "from expressivity.bench.contenders import FLEX, others\n"
            "conv, x = torch.nn.Conv2d(16, 16, 3, padding=1), torch.ones(1, 16, 5, 6)\n"
            "flex = others(conv, x, limit=1.0)[FLEX]\n"
            "finite = [flex().isfinite().all().item() for _ in range(5)]\n"
            "raise SystemExit(not all(finite))\n"
        )
        run = subprocess.run(
            [sys.executable, "-c", code],
            check=False,
            env=os.environ | environment,
            capture_output=True,
            text=True,
        )
        assert run.returncode == 0, run.stderr


class TestTrainedHeads:
    def test_every_way_to_train_is_the_same_layer(self) -> None:
        shape = TrainedShape(4, 6, 2, goal=1.0)
        names = set(steps(shape, CPU, torch.float32))
        assert names == {BASELINE, OWN, FROZEN, TIED}
        for step in steps(shape, CPU, torch.float32).values():
            step()

    def test_limit_is_that_of_the_multiplications(self) -> None:
        assert TrainedShape(64, 56, 1, goal=1.0).limit == pytest.approx(10 / 3)
        assert TrainedShape(400, 16, 9, goal=1.0).limit == pytest.approx(1 + 8 / 75)

    def test_limit_counts_the_tokens_of_a_window_on_long_axes(self) -> None:
        at_112, at_224 = (TrainedShape(64, s, 1, goal=1.0).limit for s in (112, 224))
        assert at_112 == pytest.approx(at_224)
        assert at_112 < 1 + 8 * 56 / (3 * 64)

    def test_one_alpha_has_the_derivative_of_all(self) -> None:
        conv = torch.nn.Conv2d(2, 3, 3, padding=1).double()
        x = torch.randn(2, 2, 6, 5, dtype=torch.float64)
        free, tied = (ex.attention_from_conv(conv, alpha=1.5) for _ in range(2))
        free.alpha.requires_grad_()
        tie_alpha(tied)
        for layer in (free, tied):
            layer(x).square().sum().backward()
        (one,) = tied.parametrizations.parameters()
        torch.testing.assert_close(one.grad.sum(), free.alpha.grad.sum())
        assert tied.output_weight.grad is not None
        torch.testing.assert_close(tied.output_weight.grad, free.output_weight.grad)
        (told,) = tied.explain(x).details
        assert "9 heads" in told
        assert "alone" not in told


class TestReport:
    def test_means_are_geometric_and_weighted(self) -> None:
        mean = by_statement(MADE_UP, "224², α = 4: geometric")
        assert mean.value == pytest.approx((2**3 * 0.5) ** 0.25)
        assert mean.is_met is False
        assert replace(mean, value=1.24).is_met is True
        assert by_statement(MADE_UP, "224²: worst").value == 2.0

    def test_ratios_against_dense_count_upwards(self) -> None:
        (smaller,) = (
            target
            for target in targets(MADE_UP)
            if target.statement.startswith("against dense")
        )
        assert (smaller.value, smaller.is_met) == (90, True)
        assert replace(smaller, value=49.0).is_met is False

    def test_growth_is_the_slope_between_both_ends(self) -> None:
        assert growth_exponent(MADE_UP, of.SOFT) == pytest.approx(1.5)
        assert growth_exponent(MADE_UP, of.HARD) is None

    def test_growth_is_drawn_against_the_tokens(self) -> None:
        pytest.importorskip("matplotlib")
        time, memory = plot_growth(MADE_UP).axes
        assert time.get_ylabel().endswith("(s)")
        drawn = {line.get_label(): line for line in memory.get_lines()}
        (soft,) = (line for label, line in drawn.items() if "N^{1.50}" in label)
        assert list(soft.get_xdata()) == [64**2, 1024**2]

    def test_no_growth_no_picture(self) -> None:
        pytest.importorskip("matplotlib")
        with pytest.raises(
            ex.errors.InputError, match="needs a growth curve, got none"
        ):
            plot_growth(replace(MADE_UP, measurements=()))

    def test_what_was_not_measured_is_neither_met_nor_missed(self) -> None:
        target = by_statement(MADE_UP, "forward and backward")
        assert target.is_met is None
        assert target.figure() == "not measured"

    def test_a_gpu_has_targets_of_its_own(self) -> None:
        (target,) = targets(replace(MADE_UP, device="cuda", dtype="bfloat16"))
        assert "batch 32, bfloat16 on cuda" in target.statement
        assert target.value == pytest.approx(math.sqrt(2))


class TestDocument:
    def test_comes_back_from_its_file(self, tmp_path: Path) -> None:
        path = tmp_path / "run.json"
        path.write_text(json.dumps(MADE_UP.to_dict()))
        assert read_document(path) == MADE_UP

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("{", "cannot be read"),
            ("[]", "needs to hold a benchmark document"),
            ("{}", "a document of `expressivity bench` is needed"),
            ('{"version": 0}', "of version 1 is needed, got 0"),
            ('{"version": 1, "measurements": [{}]}', "run the benchmark again"),
        ],
    )
    def test_refuses_other_files(self, text: str, message: str, tmp_path: Path) -> None:
        path = tmp_path / "run.json"
        path.write_text(text)
        with pytest.raises(ex.errors.FileError, match=message):
            read_document(path)


class TestSuites:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"setting": "slow"}, "setting needs one of .*'quick'.* got 'slow'"),
            ({"device": "tpu"}, "device needs one of .*'cpu'.* got 'tpu'"),
        ],
    )
    def test_refuses_what_there_is_not(
        self, options: dict[str, str], message: str
    ) -> None:
        with pytest.raises(ex.errors.ArgumentError, match=message):
            run_suites(**({"setting": "quick"} | options))


def by_statement(document: Document, part: str):
    (found,) = (t for t in targets(document) if part in t.statement)
    return found
