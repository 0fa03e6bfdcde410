"""Reading weights and inputs from files that are not trusted."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file, save_model
from torch import nn

from expressivity.cli.weights import load_weights, read_inputs, read_weights
from expressivity.errors import FileError


def tied() -> nn.Module:
    """Return a model with one weight under two names, and one of its own."""
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 2))
    model[1].weight = model[0].weight
    return model


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "weights"


def test_content_decides_the_format_not_the_name(tmp_path: Path) -> None:
    weights = {"a": torch.ones(2)}
    torch.save(weights, tmp_path / "torch.safetensors")
    torch.save(
        weights, tmp_path / "old.safetensors", _use_new_zipfile_serialization=False
    )
    save_file(weights, tmp_path / "safe.pt")
    for path in tmp_path.iterdir():
        assert read_weights(path)["a"].tolist() == [1, 1]


@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors"])
def test_a_file_cut_anywhere_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if path.suffix == ".pt":
        torch.save({"a": torch.ones(100)}, path)
    else:
        save_file({"a": torch.ones(100)}, path)
    whole = path.read_bytes()
    for length in {0, 1, 8, 9, 10, len(whole) // 3, len(whole) // 2, len(whole) - 1}:
        path.write_bytes(whole[:length])
        with pytest.raises(FileError, match=r"weights\.\w+ (is damaged|holds)"):
            read_weights(path)


@given(st.binary(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_noise_is_refused(path: Path, noise: bytes) -> None:
    path.write_bytes(noise)
    with pytest.raises(FileError, match=r"weights (is damaged|holds|needs)"):
        read_weights(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.ones(1)], "needs to hold a state dict .*, got a list"),
        (torch.ones(1), "needs to hold a state dict .*, got a Tensor"),
        ({1: torch.ones(1)}, "needs to hold a state dict .*, got a dict"),
        (nn.Linear(1, 1), r"holds torch\.nn\.modules\.linear\.Linear; only tensors"),
        ({"model": nn.ReLU()}, r"holds torch\.nn\.modules\.activation\.ReLU; only"),
    ],
    ids=["list", "tensor", "numbered", "module", "nested module"],
)
def test_other_content_is_refused(path: Path, content: object, message: str) -> None:
    torch.save(content, path)
    with pytest.raises(FileError, match=message):
        read_weights(path)


def test_one_name_is_enough_for_a_shared_weight(path: Path) -> None:
    saved, loaded = tied(), tied()
    save_model(saved, str(path))
    assert len(read_weights(path)) == len(saved.state_dict()) - 1
    load_weights(loaded, path)
    x = torch.randn(2, 3)
    torch.testing.assert_close(loaded(x), saved(x), rtol=0, atol=0)


def test_no_name_is_not_enough_for_a_shared_weight(path: Path) -> None:
    weights = tied().state_dict()
    del weights["0.weight"], weights["1.weight"]
    torch.save(weights, path)
    with pytest.raises(FileError, match=r"2 missing \(0.weight, 1.weight\)"):
        load_weights(tied(), path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight": torch.ones(2, 4)}, r"weight: floating-point \(2, 4\) for floating"),
        ({"weight": torch.ones(2, 3).int()}, r"weight: integer \(2, 3\) for floating"),
        ({"weight": torch.ones(2, 3) * 1j}, r"weight: complex \(2, 3\) for floating"),
        ({"weight": 3}, r"weight: int for floating-point \(2, 3\)"),
        ({"extra": torch.ones(1)}, r"1 unexpected \(extra\)"),
    ],
    ids=["shape", "integer", "complex", "number", "extra"],
)
def test_weights_that_do_not_fit_are_refused(
    path: Path, change: Mapping[str, object], message: str
) -> None:
    model = nn.Linear(3, 2)
    torch.save({**model.state_dict(), **change}, path)
    with pytest.raises(FileError, match="not those of Linear: .*" + message):
        load_weights(model, path)


def test_a_wider_dtype_is_cast_to_that_of_the_model(path: Path) -> None:
    model = nn.Linear(3, 2)
    torch.save(nn.Linear(3, 2).double().state_dict(), path)
    load_weights(model, path)
    assert model.weight.dtype == torch.float32


def test_a_lazy_model_takes_its_shapes_from_the_file(path: Path) -> None:
    torch.save(nn.Linear(3, 2).state_dict(), path)
    model = nn.LazyLinear(2)
    load_weights(model, path)
    assert model.weight.shape == (2, 3)


def test_inputs_are_cast_and_may_be_alone_in_a_dictionary(path: Path) -> None:
    save_file({"images": torch.ones(5, 3, 4)}, path)
    inputs = read_inputs(path, like=(1, 3, 4), dtype=torch.float64)
    assert (inputs.shape, inputs.dtype) == ((5, 3, 4), torch.float64)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones((5, 3, 5)), r"needs inputs of shape \(n, 3, 4\) .*, got \(5, 3, 5\)"),
        (np.ones((3, 4)), r"got \(3, 4\)"),
        (np.ones((0, 3, 4)), r"n ≥ 1, got \(0, 3, 4\)"),
        (np.ones(()), r"got \(\)"),
        (np.ones((5, 3, 4), np.uint8), r"floating-point inputs, got torch.uint8"),
        (np.full((5, 3, 4), np.nan), "holds inputs that are NaN or infinite"),
        (np.array(["text"]), "is damaged or of a kind that is not read here"),
        (np.array([{}], dtype=object), "is damaged or of a kind that is not read here"),
    ],
    ids=["width", "axes", "none", "number", "integer", "nan", "text", "objects"],
)
def test_other_inputs_are_refused(
    tmp_path: Path, array: np.ndarray, message: str
) -> None:
    path = tmp_path / "inputs.npy"
    np.save(path, array, allow_pickle=True)
    with pytest.raises(FileError, match=message):
        read_inputs(path, like=(1, 3, 4), dtype=torch.float32)


@pytest.mark.parametrize("content", [{}, {"a": torch.ones(1), "b": torch.ones(1)}, [1]])
def test_a_file_of_inputs_holds_one_tensor(path: Path, content: object) -> None:
    torch.save(content, path)
    with pytest.raises(FileError, match="needs to hold one tensor of inputs, got"):
        read_inputs(path, like=(1, 3, 4), dtype=torch.float32)
