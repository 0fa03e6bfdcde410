"""What is saved comes back: layers alone, networks around them, and no code."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import expressivity as ex
from expressivity.attention.description import LayerDescription
from expressivity.conversion.network.loading import SavedLayers
from expressivity.errors import (
    ArgumentError,
    CertificateError,
    FileError,
    InputError,
    UnsupportedModuleError,
)
from expressivity.saved.card import numbers_block
from expressivity.saved.reading import Saved
from tests import ROOT

X = torch.randn(2, 4, 9, 7)


class Network(nn.Module):
    """A tied, strided, grouped and kept convolution, and a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect")
        self.again = nn.Conv2d(6, 6, 3, padding=1)
        self.tied = nn.Conv2d(6, 6, 3, padding=1, bias=False)
        self.tied.weight = self.again.weight
        self.twice = self.again
        self.norm = nn.BatchNorm2d(6)
        self.deep = nn.Sequential(nn.Conv2d(6, 4, (3, 1), 2, groups=2), nn.ReLU())
        self.up = nn.ConvTranspose2d(4, 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.tied(self.again(self.stem(x))))
        return self.up(self.deep(self.twice(x)))


def network(seed: int = 0) -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Network().eval()


def saved(folder: Path, **options: Any) -> ex.convert:
    conversion = ex.convert(network(), **options)
    conversion.save(folder)
    return conversion


LAYERS: dict[str, dict[str, Any]] = {
    "default": {},
    "soft": {"alpha": 0.7},
    "truncated": {"head_dim": 2},
    "padded": {"head_dim": 9},
    "minimal": {"heads": "minimal"},
    "ringed": {"alpha": 2.0, "rings": 1},
    "dense": {"strategy": "dense"},
}
CONVOLUTIONS = {
    "1 axis": nn.Conv1d(4, 6, 5, padding=2),
    "2 axes": nn.Conv2d(4, 6, 3, 2, padding=(1, 0), bias=False),
    "3 axes": nn.Conv3d(4, 2, 2, padding="same", groups=2, padding_mode="circular"),
    "half": nn.Conv2d(4, 4, 3).half(),
    "double": nn.Conv2d(2, 4, 3, dilation=2).double(),
}


class TestLayer:
    @pytest.mark.parametrize("options", LAYERS.values(), ids=LAYERS)
    def test_a_layer_comes_back(self, options: dict[str, Any], tmp_path: Path):
        conv = nn.Conv2d(4, 6, 3, padding=1)
        attention = ex.attention_from_conv(conv, **options)
        attention.save(tmp_path, conv=conv)
        again = ex.load(tmp_path)
        assert isinstance(again, ex.RelativeSelfAttention)
        assert torch.equal(again(X), attention(X))
        assert LayerDescription.of(again) == LayerDescription.of(attention)
        assert not again.training
        (numbers,) = Saved.read(tmp_path).numbers()
        worst = float(ex.worst_case_error(attention, conv).max())
        assert numbers.worst_case == worst
        assert (numbers.certificate is None) == (options == {"heads": "minimal"})

    @pytest.mark.parametrize("conv", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
    def test_every_geometry_comes_back(self, conv: nn.Conv2d, tmp_path: Path):
        attention = ex.attention_from_conv(conv)
        attention.save(tmp_path)
        again = ex.load(tmp_path)
        x = torch.randn(1, conv.in_channels, *[8] * len(conv.kernel_size)).to(
            conv.weight
        )
        assert isinstance(again, ex.RelativeSelfAttention)
        assert torch.equal(again(x), attention(x))
        assert torch.equal(ex.conv_from_attention(again).weight, conv.weight)

    def test_content_terms_come_back(self, tmp_path: Path):
        attention = ex.attention_from_conv(nn.Conv2d(4, 6, 3)).add_content_terms(5)
        nn.init.normal_(attention.query_weight)
        attention.save(tmp_path)
        again = ex.load(tmp_path)
        assert torch.equal(again(X), attention(X))
        (numbers,) = Saved.read(tmp_path).numbers()
        assert numbers.certificate is None
        assert numbers.worst_case is None

    def test_what_is_frozen_stays_frozen(self, tmp_path: Path):
        attention = ex.attention_from_conv(nn.Conv2d(4, 6, 3))
        attention.save(tmp_path)
        again = ex.load(tmp_path)
        frozen = {n for n, p in again.named_parameters() if not p.requires_grad}
        assert frozen == {"alpha", "centers"}

    def test_a_changed_layer_is_not_saved(self, tmp_path: Path):
        attention = ex.attention_from_conv(nn.Conv2d(4, 6, 3))
        attention.register_forward_hook(lambda *_: None)
        with pytest.raises(UnsupportedModuleError, match=r"hooks"):
            attention.save(tmp_path)
        assert list(tmp_path.iterdir()) == []

    def test_files_are_replaced_on_request(self, tmp_path: Path):
        attention = ex.attention_from_conv(nn.Conv2d(4, 6, 3))
        (tmp_path / "README.md").write_text("mine")
        with pytest.raises(FileError, match=r"README.md exists"):
            attention.save(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["README.md"]
        attention.save(tmp_path, force=True)
        assert torch.equal(ex.load(tmp_path)(X), attention(X))


class TestNetwork:
    def test_the_layers_come_back_without_the_network(self, tmp_path: Path):
        conversion = saved(tmp_path)
        again = ex.load(tmp_path)
        assert again.layers == conversion.layers
        for layer in conversion.converted:
            one, other = (
                each.model.get_submodule(layer.name) for each in (conversion, again)
            )
            x = torch.randn(1, one.in_channels, 6, 6)
            assert torch.equal(one(x), other(x))
        assert again.model.get_submodule("twice") is again.model.get_submodule("again")
        tied = again.model.get_submodule("tied")
        assert isinstance(again.model, SavedLayers)
        assert torch.equal(tied.weight, again.model.get_submodule("again").weight)
        with pytest.raises(UnsupportedModuleError, match=r"into=model"):
            again.model(X)

    @pytest.mark.parametrize("converted", [False, True])
    def test_a_network_is_filled(self, converted: bool, tmp_path: Path):
        conversion = saved(tmp_path)
        skeleton: nn.Module = network(1)
        if converted:
            skeleton = ex.convert(skeleton).model
        before = skeleton(X)
        again = ex.load(tmp_path, into=skeleton)
        assert torch.equal(again.model(X), conversion.model(X))
        assert torch.equal(skeleton(X), before)
        model = again.model
        assert model.twice is model.again
        assert model.tied.output_weight is model.again.output_weight
        assert isinstance(model.up, nn.ConvTranspose2d)
        assert not model.training

    def test_the_dtype_is_that_of_the_file(self, tmp_path: Path):
        conversion = ex.convert(network().double())
        conversion.save(tmp_path)
        again = ex.load(tmp_path, into=network(1))
        assert torch.equal(again.model(X.double()), conversion.model(X.double()))

    def test_a_converted_convolution_by_itself(self, tmp_path: Path):
        conv = nn.Conv2d(4, 6, 3)
        ex.convert(conv).save(tmp_path)
        for again in (ex.load(tmp_path), ex.load(tmp_path, into=nn.Conv2d(4, 6, 3))):
            assert torch.equal(again.model(X), conv(X))

    def test_certificates_are_about_the_original(self, tmp_path: Path):
        model = network()
        conversion = ex.convert(model, head_dim=1)
        conversion.save(tmp_path, original=model, inputs=X)
        for numbers in Saved.read(tmp_path).numbers():
            conv = model.get_submodule(numbers.name)
            layer = conversion.model.get_submodule(numbers.name)
            assert numbers.certificate is not None
            assert numbers.certificate.size is not None
            numbers.certificate.check(layer, conv)
            exact = ex.Certificate.load(
                tmp_path / "certificates.json", layer=numbers.name
            )
            assert exact.fingerprint == numbers.certificate.fingerprint

    def test_the_state_after_training_is_certified(self, tmp_path: Path):
        conversion = ex.convert(network(), alpha=6.0)
        with torch.no_grad():
            for parameter in conversion.model.parameters():
                parameter.add_(0.01 * torch.randn_like(parameter))
        conversion.save(tmp_path)
        for numbers in Saved.read(tmp_path).numbers():
            assert numbers.certificate is not None
        again = ex.load(tmp_path, into=network(1))
        assert torch.equal(again.model(X), conversion.model(X))

    def test_the_card_states_what_is_computed(self, tmp_path: Path):
        saved(tmp_path)
        reading = Saved.read(tmp_path)
        card = reading.card()
        assert card.startswith("---\nlibrary_name: expressivity\n")
        assert numbers_block(reading.numbers()) in card
        assert "`up` is no attention" in card
        for name in ("stem", "again", "tied", "deep.0"):
            assert f"| `{name}` |" in card

    def test_a_wrong_certificate_is_noticed(self, tmp_path: Path):
        saved(tmp_path)
        reading = Saved.read(tmp_path)
        weight = reading.layers["stem"].output_weight
        with torch.no_grad():
            weight[0, 0, 0, 0] += 1.0
        with pytest.raises(CertificateError, match=r"parameters that were certified"):
            reading.numbers()

    def test_what_a_network_has_to_be(self, tmp_path: Path):
        conversion = saved(tmp_path)
        with pytest.raises(FileError, match=r"has no such module"):
            ex.load(tmp_path, into=nn.Sequential(nn.Conv2d(1, 1, 1)))
        wider, nested = network(), network()
        wider.extra = nn.Linear(2, 2)
        nested.stem = nn.Sequential(nn.Identity())
        with pytest.raises(FileError, match=r"are not those of Network"):
            ex.load(tmp_path, into=wider)
        with pytest.raises(FileError, match=r"with modules of its own"):
            ex.load(tmp_path, into=nested)
        with pytest.raises(InputError, match=r"meta device"):
            ex.load(tmp_path, into=network().to("meta"))
        with pytest.raises(UnsupportedModuleError, match=r"into needs a Module"):
            ex.load(tmp_path, into="model")
        with pytest.raises(ArgumentError, match=r"not both"):
            ex.load(tmp_path, into=network(), program=True)
        with pytest.raises(FileError, match=r"holds no program"):
            ex.load(tmp_path, program=True)
        with pytest.raises(ArgumentError, match=r"needs inputs="):
            conversion.save(tmp_path / "new", program=True)
        with pytest.raises(ArgumentError, match=r"original needs a convolution"):
            conversion.save(tmp_path / "new", original=nn.ReLU())
        with pytest.raises(InputError, match=r"needs to run on inputs"):
            conversion.save(tmp_path / "new", inputs=torch.ones(1))
        assert not (tmp_path / "new").exists()
        empty = ex.convert(nn.Linear(2, 2))
        with pytest.raises(UnsupportedModuleError, match=r"without any"):
            empty.save(tmp_path / "new")

    def test_a_state_that_no_file_holds_is_refused(self, tmp_path: Path):
        class Keeper(nn.Identity):
            def get_extra_state(self) -> object:
                return {"epoch": 3}

            def set_extra_state(self, state: object) -> None:
                pass

        model = nn.Sequential(nn.Conv2d(4, 6, 3), Keeper())
        with pytest.raises(FileError, match=r"needs to be a dense tensor"):
            ex.convert(model).save(tmp_path)


_ELSEWHERE = """
import sys, torch, expressivity as ex
folder, kind = sys.argv[1:]
x, expected = torch.load(f"{folder}/pair.pt", weights_only=True)
if kind == "layer":
    model = ex.load(folder)
elif kind == "layers":
    model = ex.load(folder).model.get_submodule("features.9")
else:
    model = ex.load(folder, program=True).model
assert torch.equal(model(x), expected), float((model(x) - expected).abs().max())
assert "expressivity.digits" not in sys.modules
"""


@pytest.mark.compiled
@pytest.mark.parametrize("strategy", ["auto", "dense"])
@pytest.mark.parametrize("kind", ["layer", "layers", "program"])
def test_another_process_loads_it_without_the_code(
    kind: str, strategy: str, tmp_path: Path
) -> None:
    from expressivity.digits import DigitsCNN

    model = DigitsCNN().eval()
    conversion = ex.convert(model, strategy=strategy)
    x = torch.rand(7, 1, 8, 8)
    if kind == "program":
        conversion.save(tmp_path, inputs=x[:2], program=True)
        y = conversion.model(x)
    else:
        layer = conversion.model.get_submodule("features.9")
        x = torch.randn(7, 32, 4, 4)
        (layer if kind == "layer" else conversion).save(tmp_path)
        y = layer(x)
    torch.save((x, y.detach()), tmp_path / "pair.pt")
    done = subprocess.run(
        [sys.executable, "-c", _ELSEWHERE, str(tmp_path), kind],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_document_is_plain_json(tmp_path: Path) -> None:
    saved(tmp_path)
    document = json.loads((tmp_path / "config.json").read_text())
    assert document["format"] == "expressivity-folder"
    assert document["format_version"] == 1
    assert document["shared"]["tied.output_weight"] == "again.output_weight"
    places = [entry["places"] for entry in document["layers"]]
    assert places == [["stem"], ["again", "twice"], ["tied"], ["deep.0"]]
