"""Every check accepts right answers and rejects wrong ones, with what shows it."""

import copy
import re
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import expressivity as ex
from expressivity.coursework import Course, Verdict
from expressivity.coursework.construct import Construct, Recover
from expressivity.errors import ArgumentError, MissingDependencyError
from proofs.catalogue import NAMES
from tests.coursework.answers import ANSWERS
from tests.coursework.attempts import taps

STUDENT, OTHER = "Ada", "Emmy"
COURSE = Course(STUDENT)
WRONG = [(n, i) for n, answers in ANSWERS.items() for i in range(len(answers.wrong))]
# Answers without an input: an interval too wide, no layer, too many heads, a formula.
KINDS_WITH_INPUTS = ("construct", "break it")


def verdict_of(number: str, answer: Callable[[Any], Any]) -> Verdict:
    return COURSE.check(number, answer(COURSE[number]))


def numbers_in(text: str) -> set[float]:
    return {abs(float(n)) for n in re.findall(r"\d+\.?\d*(?:e[+-]?\d+)?", text)}


def assert_tells_no_answer(number: str, answer: object, verdict: Verdict) -> None:
    """Require that a rejection holds neither the answer nor its numbers."""
    task, shown = COURSE[number], verdict.counterexample
    if task.kind == "predict":
        # Factors are from a short list: 1.1, 1.5, 2, 3, 10, ….
        told = re.sub(r"by a factor of \S+ at least", "", verdict.finding)
        truth = float(task._truth().mid())
        assert all(abs(told - truth) > 1e-3 * truth for told in numbers_in(told))
    elif task.kind == "derive":
        right = ANSWERS[number].second(task)
        for part in getattr(right, "flat", lambda: [right])():
            assert str(part) not in verdict.finding
    elif task.kind == "construct" and shown is not None:
        # Signs of a difference to the student's own layer, and no weights.
        bound = getattr(task, "input_bound", 1.0)
        assert set(shown.abs().unique().tolist()) <= {0.0, bound}
    elif isinstance(answer, Tensor) and shown is not None:
        assert torch.equal(shown, answer.double().clamp(-1, 1))
    elif shown is not None:
        assert torch.equal(shown, torch.stack(answer[:2]).double())


def test_there_are_answers_to_every_exercise() -> None:
    assert list(ANSWERS) == list(COURSE)
    assert all(len(answers.wrong) >= 3 for answers in ANSWERS.values())


@pytest.mark.parametrize("student", [STUDENT, OTHER, ""])
@pytest.mark.parametrize("number", ANSWERS)
def test_a_second_right_answer_is_accepted(number: str, student: str) -> None:
    course = Course(student)
    verdict = course.check(number, ANSWERS[number].second(course[number]))
    assert verdict.passed, verdict
    assert verdict.statement == course[number].statement


@pytest.mark.parametrize(("number", "which"), WRONG)
def test_a_wrong_answer_is_rejected_with_its_gap(number: str, which: int) -> None:
    task = COURSE[number]
    answer = ANSWERS[number].wrong[which](task)
    verdict = COURSE.check(number, answer)
    assert not verdict.passed, verdict
    assert "✗" in repr(verdict)
    assert "\n" not in repr(verdict)
    shown = verdict.counterexample
    if task.kind in KINDS_WITH_INPUTS and verdict.basis not in (
        "a count of heads",
        "the gate of the package",
    ):
        assert (
            verdict.gap is not None
            or "geometries differ" in verdict.finding
            or ("±1" in verdict.finding)
        )
        assert shown is not None
        assert float(shown.abs().max()) <= getattr(task, "input_bound", 1.0)
    assert_tells_no_answer(number, answer, verdict)


@pytest.mark.parametrize(
    ("number", "which"),
    [(n, i) for n, i in WRONG if isinstance(COURSE[n], Construct | Recover)],
)
def test_the_input_of_a_rejection_attains_its_gap(number: str, which: int) -> None:
    task = COURSE[number]
    answer = ANSWERS[number].wrong[which](task)
    verdict = COURSE.check(number, answer)
    if verdict.counterexample is None or verdict.gap is None:
        assert verdict.basis in ("a count of heads", "the gate of the package") or (
            "geometries differ" in verdict.finding
        )
        return
    pair = (task.layer, answer) if isinstance(task, Recover) else (answer, task.conv)
    with torch.no_grad():
        first, second = (
            copy.deepcopy(m).double()(verdict.counterexample) for m in pair
        )
    assert verdict.gap > task.tolerance
    assert (first - second).abs().max() >= 0.99 * verdict.gap


@pytest.mark.parametrize("number", ANSWERS)
@pytest.mark.parametrize(
    "answer", [..., None, "nine heads", [], (1, "x"), torch.ones(2)]
)
def test_an_answer_of_the_wrong_kind_is_rejected(number: str, answer: object) -> None:
    verdict = COURSE.check(number, answer)
    assert not verdict.passed
    assert "needs" in verdict.finding


@pytest.mark.parametrize("number", ["1.2", "2.2", "3.2", "4.2", "6.2"])
def test_a_layer_with_content_terms_is_rejected_with_an_input(number: str) -> None:
    task = COURSE[number]
    layer = ANSWERS[number].second(task)
    layer.add_content_terms(2)
    assert COURSE.check(number, layer).passed  # they are zero
    nn.init.ones_(layer.content_bias)
    verdict = COURSE.check(number, layer)
    assert not verdict.passed
    assert verdict.counterexample is not None


def test_a_layer_with_a_forward_of_its_own_is_rejected() -> None:
    layer = ex.attention_from_conv(COURSE["2.2"].conv)
    layer.forward = COURSE["2.2"].conv.forward
    verdict = COURSE.check("2.2", layer)
    assert not verdict.passed
    assert "forward" in verdict.finding
    assert verdict.counterexample is None  # it is right, for what that is worth
    layer.forward = torch.zeros_like
    shown = COURSE.check("2.2", layer).counterexample
    assert bool((shown == 1).all())


@pytest.mark.parametrize("number", ["2.2", "3.2", "4.2", "6.2", "7.2"])
def test_numbers_that_are_not_finite_are_rejected(number: str) -> None:
    answer = ANSWERS[number].second(COURSE[number])
    with torch.no_grad():
        next(p for n, p in answer.named_parameters() if "weight" in n).fill_(torch.nan)
    verdict = COURSE.check(number, answer)
    assert not verdict.passed
    assert "finite" in verdict.finding
    assert not bool(answer.double()(verdict.counterexample).isfinite().all())


def test_a_matrix_that_is_not_finite_is_rejected_with_a_signal() -> None:
    answer = ANSWERS["5.2"].second(COURSE["5.2"]).clone()
    answer[3, 1] = torch.inf
    verdict = COURSE.check("5.2", answer)
    assert not verdict.passed
    smoothed = answer @ verdict.counterexample[0, 0]
    assert not bool(smoothed[verdict.output].isfinite())


def test_a_layer_of_other_channels_is_rejected_with_an_input() -> None:
    task = COURSE["2.2"]
    layer = ex.attention_from_conv(nn.Conv2d(2, 1, 3, padding=1))
    verdict = COURSE.check("2.2", layer)
    assert not verdict.passed
    assert verdict.counterexample.shape == (1, 1, *task.size)


def test_two_right_layers_are_judged_alike() -> None:
    """Whatever their dtype, strategy and mode are."""
    conv = COURSE["2.2"].conv
    layers = [taps(conv.weight, alpha=9.5) for _ in range(3)]
    layers[0].strategy = "fused"
    layers[1].double().train()
    layers[2].requires_grad_(False)
    gaps = {COURSE.check("2.2", layer).gap for layer in layers}
    assert len(gaps) == 1
    assert layers[0].strategy == "fused"  # the student's layer stays as it is


def test_a_larger_geometry_that_computes_the_same_is_right() -> None:
    """The whole maps are compared, and not the options."""
    task = COURSE["2.2"]
    geometry = ex.ConvGeometry.create((5, 5), padding=2)
    weight = nn.functional.pad(task.conv.weight, (1, 1, 1, 1))
    verdict = COURSE.check("2.2", taps(weight, geometry=geometry))
    assert verdict.passed, verdict
    assert verdict.basis == "exact worst case"


def test_a_sample_does_not_pass_where_the_worst_case_fails() -> None:
    task = COURSE["2.2"]
    layer = taps(task.conv.weight, alpha=8.0)
    images = torch.rand(64, 1, *task.size)
    assert torch.allclose(layer(images), task.conv(images), atol=task.tolerance)
    assert not COURSE.check("2.2", layer).passed


def test_names_have_numbers_of_their_own() -> None:
    first, second, again = Course("Ada"), Course("Emmy"), Course("  ada ")
    differ = 0
    for number, exercise in first.items():
        if isinstance(exercise, Construct):
            same = torch.equal(exercise.conv.weight, second[number].conv.weight)
            differ += not same
            assert torch.equal(exercise.conv.weight, again[number].conv.weight)
        assert exercise.points == second[number].points
    assert differ >= 5


@pytest.mark.parametrize("number", ["2.2", "3.2", "3.3", "4.2", "6.2", "7.2"])
def test_the_answer_of_another_student_is_rejected(number: str) -> None:
    answer = ANSWERS[number].second(Course(OTHER)[number])
    assert not COURSE.check(number, answer).passed


def test_every_exercise_is_in_the_sheet() -> None:
    for exercise in COURSE.values():
        assert exercise.statement in NAMES
        assert exercise.misconception.endswith(".")
        assert exercise.minutes > 0 < exercise.points
        assert {field.name for field in fields(exercise)} >= {"number", "title"}
    for notebook in range(1, 8):
        kinds = [e.kind for n, e in COURSE.items() if n.startswith(f"{notebook}.")]
        assert 3 <= len(kinds) <= 5
        assert {"predict", "construct", "break it"} <= set(kinds)


def test_changing_the_exercise_does_not_change_the_check() -> None:
    course = Course(STUDENT)
    task = course["2.2"]
    nn.init.zeros_(task.conv.weight)
    assert not course.check("2.2", taps(task.conv.weight)).passed


def test_an_unknown_exercise_is_refused() -> None:
    assert "9.9" not in COURSE
    with pytest.raises(ArgumentError, match=r"number needs one of 1\.1, .*got '9\.9'"):
        COURSE["9.9"]
    with pytest.raises(ArgumentError, match=r"student needs a name, got 3"):
        Course(3)


def test_a_derivation_without_its_engine_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from expressivity.coursework import derivation

    def missing(name: str) -> object:
        raise ImportError(f"no module {name}")

    monkeypatch.setattr(derivation, "import_module", missing)
    with pytest.raises(MissingDependencyError, match=r"proof engine, which needs"):
        COURSE.check("1.3", [1, 2, 3])


def test_a_verdict_shows_a_picture_in_a_notebook() -> None:
    wrong = verdict_of("2.2", ANSWERS["2.2"].wrong[0])._repr_html_()
    right = verdict_of("2.2", ANSWERS["2.2"].second)._repr_html_()
    assert "data:image/png;base64," in wrong
    assert "✗ 2.2" in wrong
    assert "img" not in right
    assert "✓ 2.2" in right
