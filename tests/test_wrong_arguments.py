"""Whatever a public function is given, it works or says what was required."""

import copy
import inspect
import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import expressivity as ex
from expressivity.attention import explain
from expressivity.conversion.head_count import head_curve, minimal_heads
from expressivity.convolutions import plain_convolution
from expressivity.public import DEPRECATED, SHORT
from tests.stock.test_init_vit import TorchVit

CONV = nn.Conv2d(1, 2, 2, padding=1)
X = torch.randn(1, 1, 4, 3)
LAYER = ex.attention_from_conv(CONV, alpha=2.0)
SATURATED = ex.attention_from_conv(CONV)
GEOMETRY = LAYER.geometry
CURVE = ex.head_count(CONV).curve()
SWEEP = ex.error_sweep(CONV, X, [1.0, 2.0])
SIZE, SIZE_OF_VIT = (4, 3), (4, 4)


def with_infinite_weight() -> nn.Module:
    conv = nn.Conv2d(1, 2, 2)
    nn.init.constant_(conv.weight, math.inf)
    return conv


WRONG: dict[str, Any] = {
    "None": None,
    "word": "nonsense",
    "no word": "",
    "bytes": b"ab",
    "mixed list": [1, "a"],
    "no list": [],
    "no tuple": (),
    "set": {1, 2},
    "dict": {"a": 1},
    "words": ["a", "b"],
    "halves": [2.5, 2.5],
    "Nones": [None, None],
    "NaNs": [math.nan, 1.0],
    "negative sizes": [-1, -1],
    "huge sizes": [2**70, 2**70],
    "nested list": [[1], [2]],
    "array": np.ones((2, 2)),
    "float": 2.5,
    "True": True,
    "negative": -1,
    "negative float": -2.5,
    "zero": 0,
    "NaN": math.nan,
    "infinity": math.inf,
    "complex": 1j,
    "huge": 2**70,
    "huge and negative": -(2**70),
    "large": 2**40,
    "integers": torch.ones(1, 1, 4, 3, dtype=torch.long),
    "truth values": torch.ones(2, dtype=torch.bool),
    "half precision": torch.ones(1, 1, 4, 3, dtype=torch.float16),
    "complex tensor": torch.ones(1, 1, 4, 3, dtype=torch.complex64),
    "no tensor": torch.ones(0),
    "number in a tensor": torch.tensor(2.5),
    "meta": torch.ones(1, 1, 4, 3, device="meta"),
    "sparse": torch.ones(1, 1, 4, 3).to_sparse(),
    "module": nn.ReLU(),
    "class": nn.Conv2d,
    "class of layers": ex.RelativeSelfAttention,
    "meta convolution": nn.Conv2d(1, 2, 2, device="meta"),
    "lazy convolution": nn.LazyConv2d(2, 2),
    "infinite convolution": with_infinite_weight(),
    "convolution in 1 axis": nn.Conv1d(1, 2, 2),
    "meta layer": ex.attention_from_conv(nn.Conv2d(1, 2, 2)).to("meta"),
    "object": object(),
    "integer dtype": torch.int32,
}

TEMPORARY = tempfile.TemporaryDirectory()


def inside(folder: object) -> object:
    """Return a path in a folder of the tests; what is no path stays."""
    return (
        Path(TEMPORARY.name, folder) if isinstance(folder, str) and folder else folder
    )


ex.convert(CONV).save(inside("saved network"))
Call = tuple[Callable[..., object], dict[str, Any]]
CALLS: dict[str, Call] = {
    "alpha_for": (ex.alpha_for, {"conv": CONV, "tolerance": 0.1, "size": SIZE}),
    "attention_from_conv": (ex.attention_from_conv, {"conv": CONV}),
    "certify": (ex.certify, {"attention": SATURATED, "conv": CONV, "size": SIZE}),
    "conv_from_attention": (ex.conv_from_attention, {"attention": SATURATED}),
    "conversion_error": (
        ex.worst_case_error,
        {"attention": LAYER, "conv": CONV, "size": SIZE},
    ),
    "convert": (ex.convert, {"model": nn.Sequential(CONV)}),
    "error_sweep": (ex.error_sweep, {"conv": CONV, "x": X, "alphas": [1.0]}),
    "explain": (explain, {"attention": LAYER, "x": X}),
    "explore": (
        ex.explore,
        {"conv": CONV, "x": X, "name": "layer", "families": (), "progress": iter},
    ),
    "first_order_error": (
        ex.accuracy.first_order_error,
        {"conv": CONV, "x": X, "alpha": 5.0},
    ),
    "head_count": (ex.head_count, {"conv": CONV}),
    "head_curve": (head_curve, {"conv": CONV}),
    "leak": (ex.accuracy.leak, {"alpha": 1.0, "axes": 2}),
    "compare": (
        ex.compare,
        {"first": CONV, "second": CONV, "inputs": [X]},
    ),
    "minimal_heads": (minimal_heads, {"conv": CONV}),
    "plain_convolution": (plain_convolution, {"module": CONV}),
    "plot_attention_maps": (
        ex.plots.plot_attention_maps,
        {"attention": LAYER, "size": SIZE, "query": (1, 1)},
    ),
    "plot_error_vs_alpha": (ex.plots.plot_error_vs_alpha, {"sweep": SWEEP}),
    "plot_head_curve": (ex.plots.plot_head_curve, {"curve": CURVE}),
    "plot_overview": (ex.plots.plot_overview, {"conv": CONV, "x": X, "alphas": (1.0,)}),
    "saturation_alpha": (
        ex.accuracy.saturation_alpha,
        {"dtype": torch.float32, "axes": 2},
    ),
    "to_multihead": (ex.to_multihead, {"attention": SATURATED, "size": SIZE}),
    "truncation_error": (ex.accuracy.truncation_error, {"conv": CONV, "head_dim": 1}),
    "worst_case_error": (ex.worst_case_error, {"conv": CONV, "alpha": 3.0}),
    "ConvGeometry": (ex.ConvGeometry, vars(GEOMETRY) | {}),
    "ConvGeometry.create": (ex.ConvGeometry.create, {"kernel_size": (3, 3)}),
    "ConvGeometry.from_conv": (ex.ConvGeometry.from_conv, {"conv": CONV}),
    "ConvGeometry.canvas": (GEOMETRY.canvas, {"x": X}),
    "ConvGeometry.canvas_size": (GEOMETRY.canvas_size, {"size": SIZE}),
    "ConvGeometry.centers": (GEOMETRY.centers, {}),
    "ConvGeometry.check_input": (GEOMETRY.check_input, {"size": SIZE}),
    "ConvGeometry.output_size": (GEOMETRY.output_size, {"size": SIZE}),
    "ConvGeometry.queries": (GEOMETRY.queries, {"size": SIZE}),
    "ConvGeometry.source": (GEOMETRY.source, {"size": SIZE, "axis": 0}),
    "ConvGeometry.targets": (GEOMETRY.targets, {"size": SIZE}),
    "RelativeSelfAttention": (
        ex.RelativeSelfAttention,
        {"in_channels": 2, "out_channels": 2, "geometry": GEOMETRY},
    ),
    "RelativeSelfAttention.forward": (LAYER.forward, {"x": X}),
    "RelativeSelfAttention.explain": (LAYER.explain, {"x": X}),
    "RelativeSelfAttention.scores": (LAYER.scores, {"x": X}),
    "RelativeSelfAttention.attention_probabilities": (
        LAYER.attention_probabilities,
        {"x": X},
    ),
    "RelativeSelfAttention.add_content_terms": (
        lambda key_dim: ex.attention_from_conv(CONV).add_content_terms(key_dim),
        {"key_dim": 2},
    ),
    "RelativeSelfAttention.add_content": (
        lambda key_dim, gate: ex.attention_from_conv(CONV).add_content(key_dim, gate),
        {"key_dim": 2, "gate": 1.0},
    ),
    "training.clamp_alpha": (
        lambda model, least: ex.training.clamp_alpha(copy.deepcopy(model), least=least),
        {"model": LAYER, "least": 0.0},
    ),
    "head_report": (ex.head_report, {"model": LAYER}),
    "init_vit": (
        lambda model, kernels, alpha, size, content_bound, anchor, generator: (
            ex.init_vit(
                copy.deepcopy(model),
                kernels=kernels,
                alpha=alpha,
                size=size,
                content_bound=content_bound,
                anchor=anchor,
                generator=generator,
            )
        ),
        {
            "model": TorchVit(),
            "kernels": 3,
            "alpha": 4.0,
            "size": SIZE_OF_VIT,
            "content_bound": 1.0,
            "anchor": 9.0,
            "generator": None,
        },
    ),
    "plots.plot_heads": (ex.plots.plot_heads, {"model": LAYER}),
    "parameter_groups": (
        ex.parameter_groups,
        {"model": LAYER, "lr": 0.1, "positions_lr": 0.1, "weight_decay": 0.1},
    ),
    "training.sharpness_penalty": (ex.training.sharpness_penalty, {"model": LAYER}),
    "training.tap_penalty": (ex.training.tap_penalty, {"model": LAYER}),
    "RelativeSelfAttention.add_table": (
        lambda low, size, step: ex.attention_from_conv(CONV).add_table(
            low, size, step=step
        ),
        {"low": [-1, -1], "size": [3, 3], "step": None},
    ),
    "RelativeSelfAttention.save": (
        lambda folder, conv, input_bound, about, force: LAYER.save(
            inside(folder), conv=conv, input_bound=input_bound, about=about, force=force
        ),
        {
            "folder": "saved",
            "conv": CONV,
            "input_bound": 1.0,
            "about": "",
            "force": True,
        },
    ),
    "Conversion.save": (
        lambda folder, original, inputs, program, input_bound: ex.convert(CONV).save(
            inside(folder),
            original=original,
            inputs=inputs,
            program=program,
            input_bound=input_bound,
            force=True,
        ),
        {
            "folder": "saved",
            "original": CONV,
            "inputs": X,
            "program": False,
            "input_bound": 1.0,
        },
    ),
    "load": (
        lambda folder, into, program: ex.load(
            inside(folder), into=into, program=program
        ),
        {"folder": "saved network", "into": CONV, "program": False},
    ),
    "Conversion.table": (ex.convert(CONV).table, {"width": 80}),
}
# Results that functions return and nobody builds, and the errors.
RECORDS = {
    "Certificate",
    "Conversion",
    "Difference",
    "ErrorSweep",
    "HeadCount",
    "HeadCurve",
    "LayerRecord",
    "NearestConvolution",
    "TableHeads",
}
# A module that cannot take the inputs raises an error of its own.
OF_THE_USER = {"first", "second"}


def unchecked(name: str) -> Call:
    """Return a function as users have it, without the shape checker of the tests."""
    call, right = CALLS[name]
    return (inspect.unwrap(call) if inspect.isfunction(call) else call), right


def arguments(name: str) -> list[str]:
    """Return the arguments of a function that a wrong value can be given for."""
    call, _ = CALLS[name]
    parameters = inspect.signature(call).parameters.values()
    return [
        p.name
        for p in parameters
        if p.kind is not inspect.Parameter.VAR_POSITIONAL and not p.name.startswith("_")
    ]


CASES = [(name, argument) for name in CALLS for argument in arguments(name)]


def test_every_public_function_is_in_the_table() -> None:
    names = (*ex.__all__, *SHORT)
    callables = {name for name in names if callable(getattr(ex, name))}
    errors = {name for name in vars(ex.errors) if name.endswith("Error")}
    old = DEPRECATED.keys() - errors - {"measure_difference"}  # now compare
    assert (callables | old) - RECORDS == {name for name in CALLS if "." not in name}


def test_every_public_method_is_in_the_table() -> None:
    for kind in (ex.ConvGeometry, ex.RelativeSelfAttention):
        for name in dir(kind):  # inherited ones too
            value = inspect.getattr_static(kind, name)
            plain = getattr(value, "__func__", value)
            if name.startswith("_") or not inspect.isfunction(plain):
                continue
            if getattr(nn.Module, name, None) is not None and name != "forward":
                continue
            takes = set(inspect.signature(plain).parameters) - {"self", "cls"}
            assert not takes or f"{kind.__name__}.{name}" in CALLS, name


@pytest.mark.parametrize("name", CALLS)
def test_the_right_arguments_are_taken(name: str) -> None:
    call, right = CALLS[name]
    assert right.keys() <= inspect.signature(call).parameters.keys()
    call(**right)


@pytest.mark.parametrize(("name", "argument"), CASES, ids=map("-".join, CASES))
def test_wrong_arguments_are_refused_in_words(name: str, argument: str) -> None:
    call, right = unchecked(name)
    if (name, argument) == ("plot_overview", "query"):
        pytest.skip("its pictures take seconds; HeadMaps checks it for all plots")
    raw = {}
    for kind, value in WRONG.items():
        if argument in OF_THE_USER and isinstance(value, nn.Module):
            continue
        try:
            call(**(right | {argument: value}))
        except ex.errors.ExpressivityError as error:
            said = len(str(error)) > len("needs , got")
            raw |= {} if said else {kind: repr(error)}
        except Exception as error:
            raw[kind] = repr(error)
    assert not raw


@pytest.mark.parametrize("kind", ["float", "True", "NaN", "word", "array", "huge"])
@pytest.mark.parametrize(
    ("name", "argument"),
    [
        ("truncation_error", "head_dim"),
        ("minimal_heads", "max_heads"),
        ("leak", "axes"),
        ("RelativeSelfAttention", "in_channels"),
        ("RelativeSelfAttention", "groups"),
        ("RelativeSelfAttention", "num_heads"),
        ("RelativeSelfAttention", "geometry"),
        ("RelativeSelfAttention.add_content_terms", "key_dim"),
        ("RelativeSelfAttention.add_content", "key_dim"),
        ("RelativeSelfAttention.add_table", "low"),
        ("alpha_for", "size"),
        ("Conversion.table", "width"),
        ("ConvGeometry.create", "kernel_size"),
        ("first_order_error", "x"),
        ("explain", "attention"),
    ],
)
def test_no_wrong_kind_is_taken_silently(name: str, argument: str, kind: str) -> None:
    call, right = unchecked(name)
    with pytest.raises(ex.errors.ExpressivityError, match=r"needs .*got "):
        call(**(right | {argument: WRONG[kind]}))
