"""Whole networks in ``torch.nn.MultiheadAttention``, for inputs of one size."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import expressivity as ex
from expressivity.digits import DigitsCNN, accuracy, load_digit_images, train
from expressivity.errors import ArgumentError, FileError, UnsupportedModuleError
from expressivity.saved.reading import Saved
from expressivity.stock import ImageMultihead

X = torch.rand(3, 1, 8, 8)


class Twice(nn.Module):
    """A convolution that sees two sizes, and one that sees one, in two places."""

    def __init__(self) -> None:
        super().__init__()
        self.both = nn.Conv2d(1, 1, 3, padding=1)
        self.one = nn.Conv2d(1, 2, 3)
        self.same = self.one

    def forward(self, x: Tensor) -> Tensor:
        small = nn.functional.avg_pool2d(self.both(x), 2)
        return self.same(self.both(small))


@pytest.mark.skipif(find_spec("sklearn") is None, reason="needs sklearn")
def test_the_digits_are_classified_by_stock_attention_alone() -> None:
    images, model = load_digit_images(), DigitsCNN()
    train(model, images, epochs=2)
    conversion = ex.convert(model, into="multihead", size=(8, 8))
    modules = list(conversion.model.modules())
    assert not [m for m in modules if isinstance(m, (nn.Conv2d,))]
    assert sum(isinstance(m, nn.MultiheadAttention) for m in modules) == 4
    test, labels = images.test_images, images.test_labels
    assert accuracy(conversion.model, test, labels) == accuracy(model, test, labels)
    assert ex.compare(model, conversion.model, [test]).largest < 1e-4
    for record in conversion.converted:
        layer = conversion.model.get_submodule(record.name)
        assert isinstance(layer, ImageMultihead)
        certificate = ex.certify(layer, model.get_submodule(record.name))
        certificate.check()
        assert certificate.size == layer.size
        assert record.reason.startswith("in torch.nn.MultiheadAttention, for inputs of")


def test_what_sees_two_sizes_stays() -> None:
    model = Twice()
    conversion = ex.convert(model, into="multihead", inputs=X)
    assert [layer.name for layer in conversion.kept] == ["both"]
    assert "several sizes" in conversion.kept[0].reason
    assert isinstance(conversion.model.one, ImageMultihead)
    assert conversion.model.same is conversion.model.one
    assert torch.allclose(conversion.model(X), model(X), atol=1e-5)


def test_what_does_not_suit_stays() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 2, 1, padding=2, padding_mode="replicate"), nn.Conv2d(2, 2, 3)
    )
    conversion = ex.convert(model, into="multihead", size=(8, 8))
    assert [layer.name for layer in conversion.kept] == ["0"]
    assert "outside of the canvas" in conversion.kept[0].reason
    assert torch.allclose(conversion.model(X), model(X), atol=1e-5)


def test_a_size_is_required() -> None:
    with pytest.raises(ArgumentError, match=r"pass size="):
        ex.convert(Twice(), into="multihead")
    with pytest.raises(ArgumentError, match=r"size goes with into='multihead'"):
        ex.convert(Twice(), size=(8, 8))
    with pytest.raises(ArgumentError, match=r"into needs one of"):
        ex.convert(Twice(), into="swin", size=(8, 8))
    with pytest.raises(UnsupportedModuleError, match=r"without any: pass inputs="):
        ex.convert(nn.Linear(2, 2), into="multihead", size=(8, 8))


def test_it_is_saved_and_loaded(tmp_path: Path) -> None:
    model = DigitsCNN().eval()
    conversion = ex.convert(model, into="multihead", size=(8, 8))
    conversion.save(tmp_path, original=model)
    layers = ex.load(tmp_path).model
    layer = layers.get_submodule("features.0")
    assert isinstance(layer, ImageMultihead)
    assert torch.equal(layer(X), conversion.model.get_submodule("features.0")(X))
    for skeleton in (DigitsCNN(seed=1).eval(), conversion.model):
        again = ex.load(tmp_path, into=skeleton).model
        assert torch.equal(again(X), conversion.model(X))
    for numbers in Saved.read(tmp_path).numbers():
        assert numbers.certificate is not None
        assert numbers.strategy == "multihead"


def test_a_forged_size_is_named(tmp_path: Path) -> None:
    conversion = ex.convert(nn.Conv2d(1, 2, 3), into="multihead", size=(8, 8))
    conversion.save(tmp_path)
    path = tmp_path / "config.json"
    document = json.loads(path.read_text())
    for pixels, message in ((1, r"no layer is described"), (9, r"position needs")):
        document["layers"][0]["multihead_size"] = [pixels, pixels]
        path.write_text(json.dumps(document))
        with pytest.raises(FileError, match=message):
            ex.load(tmp_path)


class Tied(nn.Module):
    """Two convolutions that share a weight, and the bias or not."""

    def __init__(self, *, bias: bool = True, dilation: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 1, 3, padding=1)
        self.second = nn.Conv2d(1, 1, 3, padding=dilation, dilation=dilation)
        self.second.weight = self.first.weight
        if bias:
            self.second.bias = self.first.bias

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x).relu())


@pytest.mark.parametrize("bias", [True, False])
def test_tied_layers_stay_tied(bias: bool, tmp_path: Path) -> None:
    model = Tied(bias=bias).requires_grad_()
    conversion = ex.convert(model, into="multihead", inputs=X)
    layers = conversion.model.first, conversion.model.second
    first, second = (dict(layer.attention.named_parameters()) for layer in layers)
    shared = [name for name in first if first[name] is second[name]]
    assert set(first) - set(shared) == (set() if bias else {"out_proj.bias"})
    assert torch.allclose(conversion.model(X), model(X), atol=1e-5)
    for name in ("first", "second"):
        conv = model.get_submodule(name)
        ex.certify(conversion.model.get_submodule(name), conv).check()
    conversion.model(X).square().sum().backward()
    with torch.no_grad():
        for parameter in conversion.model.parameters():
            parameter.sub_(1e-3 * parameter.grad)
    one, other = (layer.attention.in_proj_weight for layer in layers)
    assert torch.equal(one, other)
    conversion.save(tmp_path)
    again = ex.load(tmp_path, into=Tied(bias=bias)).model
    assert torch.equal(again.eval()(X), conversion.model.eval()(X))


def test_what_cannot_stay_tied_stays_a_convolution() -> None:
    model = Tied(dilation=2)
    conversion = ex.convert(model, into="multihead", inputs=X)
    reasons = {layer.name: layer.reason for layer in conversion.kept}
    assert "shares its weights with first" in reasons["second"]
    assert "which is not converted with it" in reasons["first"]
    assert conversion.model.first.weight is conversion.model.second.weight
