"""The public face: few names, old ones under a warning, results that can be read."""

import importlib
import inspect
import json
import types
import warnings
from collections import Counter

import pytest
import torch
from torch import nn

import expressivity as ex
from expressivity import public
from expressivity.accuracy import snapshot
from expressivity.convolutions import gate, kernel
from expressivity.results import Result

CONV = nn.Conv2d(2, 3, 3, padding=1).double()
X = torch.rand(1, 2, 6, 6, dtype=torch.float64)


def public_names() -> list[str]:
    return [name for name in dir(ex) if not name.startswith("_")]


def test_the_face_is_small() -> None:
    assert len(public_names()) <= 20
    assert public_names() == sorted(public.__all__)


@pytest.mark.parametrize("name", public.__all__)
def test_every_public_object_explains_itself(name: str) -> None:
    value = getattr(ex, name)
    documentation = inspect.getdoc(value)
    assert documentation
    assert len(documentation.splitlines()[0]) <= 88
    if not isinstance(value, types.ModuleType):
        assert ">>>" in documentation, f"{name} needs an example"


@pytest.mark.parametrize("name", sorted(public.SHORT))
def test_short_names_are_those_of_their_modules(name: str) -> None:
    module = importlib.import_module(f"expressivity.{public.SHORT[name]}")
    assert getattr(ex, name) is getattr(module, name)
    assert name in module.__all__
    assert name not in dir(ex)
    assert ">>>" in inspect.getdoc(getattr(ex, name))


@pytest.mark.parametrize("name", sorted(public.DEPRECATED))
def test_old_names_work_and_warn(name: str) -> None:
    instead = public.DEPRECATED[name][0]
    with pytest.warns(DeprecationWarning, match=rf"expressivity\.{name} will go"):
        value = getattr(ex, name)
    assert callable(value)
    path, _, attribute = instead.rpartition(".")
    if path.startswith("expressivity."):
        assert getattr(importlib.import_module(path), attribute) is value


def test_old_names_compute_what_they_did() -> None:
    attention = ex.attention_from_conv(CONV, alpha=2.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        assert torch.equal(
            ex.conversion_error(attention, CONV, size=(6, 6)),
            ex.worst_case_error(attention, CONV, size=(6, 6)),
        )
        assert ex.head_curve(CONV) == ex.head_count(CONV).curve()
        heads = ex.minimal_heads(CONV, max_heads=3)
        assert ex.measure_difference(CONV, attention, [X]).largest > 0
        assert str(ex.explain(attention, X)) == str(attention.explain(X))
    assert torch.equal(heads.tables, ex.head_count(CONV).minimal(max_heads=3).tables)


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count what is read, decomposed and passed through a gate."""
    counts: Counter[str] = Counter()

    def count(owner: object, name: str) -> None:
        function = getattr(owner, name)

        def counted(*arguments: object, **options: object) -> object:
            counts[name] += 1
            return function(*arguments, **options)

        monkeypatch.setattr(owner, name, counted)

    count(kernel, "plain_convolution")
    count(snapshot, "plain_attention")
    for name in ("svd", "svdvals", "eigh", "qr"):
        count(torch.linalg, name)
    return counts


def test_a_sweep_passes_the_gate_once(passes: Counter[str]) -> None:
    ex.error_sweep(CONV, X, [1.0, 2.0, 3.0])
    assert passes["plain_convolution"] == 1


def test_a_certificate_reads_the_layer_once(passes: Counter[str]) -> None:
    attention = ex.attention_from_conv(CONV, alpha=2.0)
    passes.clear()
    certificate = ex.certify(attention, CONV, size=(6, 6))
    assert (passes["plain_convolution"], passes["plain_attention"]) == (1, 1)
    passes.clear()
    certificate.check()
    assert (passes["plain_convolution"], passes["plain_attention"]) == (1, 1)


@pytest.mark.parametrize("size", [2, 3, 5])
def test_a_curve_of_heads_decomposes_the_kernel_once(
    size: int, passes: Counter[str]
) -> None:
    conv = nn.Conv2d(6, 6, size)
    ex.head_count(conv)
    counted = Counter(passes)
    passes.clear()
    curve = ex.head_count(conv).curve()
    # The curve adds the singular values that no layer can beat, whatever its length.
    assert len(curve.heads) == size * size - (size == 1)
    assert passes - counted == Counter({"svdvals": 1})
    assert passes["plain_convolution"] == 1


def results() -> list[Result]:
    attention = ex.attention_from_conv(CONV, alpha=2.0)
    count = ex.head_count(CONV)
    return [
        ex.compare(CONV, attention, [X]),
        ex.error_sweep(CONV, X, [1.0, 2.0]),
        count,
        count.curve(),
        ex.certify(attention, CONV),
        ex.convert(nn.Sequential(CONV, nn.ReLU())),
    ]


@pytest.mark.parametrize("result", results(), ids=lambda result: type(result).__name__)
def test_results_show_themselves(result: Result) -> None:
    assert len(repr(result)) <= 120
    assert "\n" not in repr(result)
    assert str(result) != repr(result)
    assert result._repr_html_().startswith("<")
    assert json.loads(json.dumps(result.to_dict()))
    if hasattr(result, "plot"):
        assert result.plot().axes


def test_the_gate_is_the_one_that_is_counted() -> None:
    assert kernel.plain_convolution is gate.plain_convolution
