"""convert: code of the network that attention does not suit, found and reported."""

import re

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import expressivity as ex
from expressivity.conversion.network.source import Source

KINDS = (nn.Conv1d, nn.Conv2d)


class Penalised(nn.Module):
    """Asks what its modules are, in ways that matter and in ways that do not."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 1))
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.ones_(module.weight)

    def forward(self, x: Tensor) -> Tensor:
        if isinstance(x, tuple):
            (x,) = x
        return self.layers(x)

    def penalty(self) -> Tensor:
        """Return 0 for a network of attention."""
        weights = [m.weight for m in self.modules() if isinstance(m, nn.Conv2d)]
        return sum((w.square().sum() for w in weights), torch.zeros(()))

    def by_kinds(self) -> int:
        return sum(isinstance(m, (nn.Linear, *KINDS[:0])) for m in self.modules())

    def by_global(self) -> int:
        return sum(isinstance(m, KINDS) for m in self.modules())

    def by_union(self) -> int:
        return sum(isinstance(m, nn.Linear | nn.Conv2d) for m in self.modules())

    @property
    def by_type(self) -> int:
        return sum(type(m) is nn.Conv2d for m in self.modules())

    @staticmethod
    def by_case(module: nn.Module) -> bool:
        match module:
            case nn.Conv2d():
                return True
        return False

    def linear_only(self) -> int:
        return sum(isinstance(m, nn.Linear) for m in self.modules())


def test_questions_about_the_class_are_remarked():
    conversion = ex.convert(Penalised())
    asking = [remark.split()[0] for remark in conversion.remarks]
    names = ["penalty", "by_global", "by_union", "by_type", "by_case"]
    assert asking == [f"Penalised.{name}" for name in names]
    assert "is of nn.Conv2d: attention is not" in conversion.remarks[0]
    assert float(conversion.model.penalty()) == 0  # what the remark is about
    assert "Penalised.penalty asks whether" in conversion.table(width=200)
    assert "remarks: 5" in str(conversion)


def test_without_converted_layers_there_is_nothing_to_remark():
    assert ex.convert(Penalised(), where=[]).remarks == ()
    assert Source(Penalised()).class_checks([]) == []


class Fusing(nn.Module):
    """Reads and writes what only a convolution has."""

    def __init__(self, way: str = "plain") -> None:
        super().__init__()
        self.way = way
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1))
        self.conv = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem[0](x)
        if self.way == "internal":
            return self.conv._conv_forward(x, self.conv.weight.abs(), None)
        return self.conv(x)

    def fuse(self, scale: Tensor) -> None:
        self.stem[0].weight = nn.Parameter(self.stem[0].weight * scale)
        self.conv.padding_mode = "circular"

    def load(self, kernel: Tensor) -> None:
        self.stem[0].weight.data = kernel
        self.conv.weight.data[0].zero_()
        self.conv.bias.data.zero_()
        self.conv.bias, self.conv.note = None, "fused"

    def norm(self) -> Tensor:
        return self.conv.weight.norm() + self.conv.bias.norm()


def test_attributes_of_a_layer_are_remarked_in_its_record():
    records = {layer.name: layer for layer in ex.convert(Fusing()).layers}
    assert {layer.status for layer in records.values()} == {"converted"}
    assert records["stem.0"].reason == (
        "Fusing.fuse sets its weight, which attention refuses; "
        "Fusing.load writes into its weight, which attention composes from its heads"
    )
    assert records["conv"].reason == (
        "Fusing.forward reads its _conv_forward, which attention lacks; "
        "Fusing.fuse sets its padding_mode, which attention refuses; "
        "Fusing.load writes into its weight, which attention composes from its heads"
    )


def test_the_remarks_are_true():
    model = ex.convert(Fusing("internal")).model
    with pytest.raises(AttributeError, match="_conv_forward"):
        model(torch.ones(1, 3, 5, 5))
    with pytest.raises(AttributeError, match="weight of an attention layer"):
        model.fuse(torch.tensor(2.0))
    assert model.norm().item() > 0


def test_a_layer_that_is_asked_for_what_attention_lacks_is_kept():
    network, x = Fusing("internal"), torch.randn(1, 3, 5, 5)
    conversion = ex.convert(network, inputs=x)
    statuses = {layer.name: layer.status for layer in conversion.layers}
    assert statuses == {"stem.0": "converted", "conv": "kept"}
    reason = conversion.layers[1].reason
    assert re.search("reads what attention does not have: .*_conv_forward", reason)
    torch.testing.assert_close(conversion.model(x), network(x))


class Transposing(nn.Module):
    """Two layers, both read in a way that attention does not answer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(2, 2, 3, padding=1)
        self.second = nn.Conv1d(2, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        for conv in (self.first, self.second):
            width = conv._reversed_padding_repeated_twice
            x = functional.conv1d(functional.pad(x, width), conv.weight)
        return x


def test_one_layer_after_the_other_is_kept():
    network, x = Transposing(), torch.randn(1, 2, 5)
    conversion = ex.convert(network, inputs=x)
    assert [layer.status for layer in conversion.layers] == ["kept", "kept"]
    assert torch.equal(conversion.model(x), network(x))


def test_code_whose_source_is_not_at_hand_is_passed_over():
    scope: dict[str, object] = {"nn": nn}
    exec(
        "class Hidden(nn.Sequential):\n"
        "    def penalty(self):\n"
        "        return isinstance(self[0], nn.Conv2d)\n",
        scope,
    )
    hidden = scope["Hidden"](nn.Conv2d(1, 1, 1))
    conversion = ex.convert(hidden)
    assert conversion.remarks == ()
    assert Source(hidden).uses({"0": hidden[0]}, {"0": conversion.model[0]}) == {}


class Prepared(nn.Module):
    """Draws the weights of its convolutions as libraries of networks do."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3)
        self.apply(self._init_weights)

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class PreparedAgain(Prepared):
    """Draws them once more whenever it runs."""

    def forward(self, x: Tensor) -> Tensor:
        self.apply(self._init_weights)
        return self.conv(x)


def test_what_only_prepares_a_module_is_no_matter():
    assert ex.convert(Prepared()).remarks == ()
    (remark,) = ex.convert(PreparedAgain()).remarks
    assert "Prepared._init_weights asks whether a module is of nn.Conv2d" in remark
