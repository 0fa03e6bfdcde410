"""convert: what is replaced, what stays and why, and what else must not change."""

import json
import re

import pytest
import torch
from torch import Tensor, nn

import expressivity as ex
from expressivity.conversion.network import Conversion, LayerRecord
from tests.architectures import ARCHITECTURES


def small_network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.ReLU(),
        nn.Sequential(nn.Conv2d(4, 4, 3, groups=4), nn.Conv2d(4, 2, 1)),
    ).double()


def image(batch: int = 2) -> Tensor:
    return torch.randn(batch, 3, 7, 6, dtype=torch.float64)


def statuses(conversion: Conversion) -> dict[str, str]:
    return {layer.name: layer.status for layer in conversion.layers}


def assert_same_outputs(model: nn.Module, network: nn.Module, x: Tensor) -> None:
    torch.testing.assert_close(model(x), network(x), rtol=0, atol=1e-11)


class TestWhatIsReplaced:
    def test_every_convolution(self):
        network = small_network()
        conversion = ex.convert(network)
        assert statuses(conversion) == dict.fromkeys(["0", "2.0", "2.1"], "converted")
        assert not any(isinstance(m, nn.Conv2d) for m in conversion.model.modules())
        assert_same_outputs(conversion.model, network, image())

    @pytest.mark.parametrize("kind", [nn.Conv1d, nn.Conv2d, nn.Conv3d])
    def test_a_model_that_is_itself_a_convolution(self, kind: type[nn.Module]):
        conv = kind(3, 4, 2).double()
        conversion = ex.convert(conv)
        assert isinstance(conversion.model, ex.RelativeSelfAttention)
        assert statuses(conversion) == {"": "converted"}
        x = torch.randn([2, 3] + [4] * (conv.weight.dim() - 2), dtype=torch.float64)
        assert_same_outputs(conversion.model, conv, x)

    def test_containers_of_any_kind(self):
        network = nn.ModuleDict({
            "list": nn.ModuleList([nn.Conv1d(1, 1, 1), nn.Conv1d(1, 1, 3)]),
            "parallel": nn.DataParallel(nn.Sequential(nn.Conv2d(1, 1, 1))),
        })
        conversion = ex.convert(network)
        assert list(statuses(conversion)) == ["list.0", "list.1", "parallel.module.0"]
        assert isinstance(conversion.model["list"][1], ex.RelativeSelfAttention)

    def test_a_network_without_convolutions(self):
        network = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
        conversion = ex.convert(network)
        assert conversion.layers == ()
        assert conversion.model is not network
        x = torch.randn(2, 3)
        assert torch.equal(conversion.model(x), network(x))

    def test_a_second_conversion_finds_nothing_left(self):
        assert ex.convert(ex.convert(small_network()).model).layers == ()

    def test_padding_mode_set_after_construction(self):
        """The usual trick that makes an image generator tile."""
        conv = nn.Conv2d(3, 4, 3, padding=1).double()
        conv.padding_mode = "circular"
        assert_same_outputs(ex.convert(conv).model, conv, image())

    def test_numbers_set_after_construction(self):
        """Dilating a trained backbone, as segmentation networks do."""
        conv = nn.Conv2d(3, 4, 3, stride=2, padding=1).double()
        conv.stride, conv.dilation, conv.padding = 1, (2, 2), (2, 2)
        assert_same_outputs(ex.convert(conv).model, conv, image())


class TestWhatIsKept:
    def test_the_training_mode_of_every_module(self):
        network = small_network().train()
        network[2].eval()
        model = ex.convert(network).model
        expected = {name: module.training for name, module in network.named_modules()}
        found = {name: module.training for name, module in model.named_modules()}
        assert found == expected

    def test_requires_grad_of_every_layer(self):
        network = small_network()
        network[0].requires_grad_(False)
        network[2][0].weight.requires_grad_(False)
        model = ex.convert(network).model
        trainable = {name for name, p in model.named_parameters() if p.requires_grad}
        learned = {"output_weight", "value_weight", "bias"}  # saturated: no positions
        last = dict(model[2][1].named_parameters()).keys() & learned
        assert trainable == {"2.0.bias"} | {f"2.1.{name}" for name in last}

    def test_the_dtype_of_every_layer(self):
        network = nn.Sequential(nn.Conv1d(1, 1, 1).half(), nn.Conv1d(1, 1, 1).double())
        model = ex.convert(network).model
        assert [layer.dtype for layer in model] == [torch.float16, torch.float64]

    def test_hooks_of_other_modules(self):
        network, seen = small_network(), []
        network[1].register_forward_hook(lambda *_: seen.append("relu"))
        network.register_forward_hook(lambda module, args, output: 2 * output)
        model = ex.convert(network).model
        assert_same_outputs(model, network, image())
        assert seen == ["relu", "relu"]

    def test_buffers_and_parameters_of_other_modules(self):
        network = ARCHITECTURES["residual_basic"].network()
        model = ex.convert(network).model
        state = model.state_dict()
        names = [name for name in network.state_dict() if "running" in name]
        assert names
        for name in names:
            assert torch.equal(state[name], network.state_dict()[name])


class Twice(nn.Module):
    """One convolution under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 3, 3, padding=1).double()
        self.second = self.first

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x))


def tied(*convs: nn.Module, names: tuple[str, ...] = ("weight",)) -> nn.Sequential:
    """Return convolutions in a row that share parameters with the first."""
    for conv in convs[1:]:
        for name in names:
            setattr(conv, name, getattr(convs[0], name))
    return nn.Sequential(*convs).double()


class OwnWeight(nn.Module):
    """A parameter that is also a convolution's."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1).double()
        self.decoder = self.conv.weight

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("ochw,bo...->bc...", self.decoder, self.conv(x))


class InList(nn.Module):
    """A convolution that is called through a plain list."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1).double()
        self.steps = [self.conv, torch.relu]

    def forward(self, x: Tensor) -> Tensor:
        for step in self.steps:
            x = step(x)
        return x


class TestSharing:
    def test_one_convolution_used_twice_becomes_one_attention(self):
        network = Twice()
        conversion = ex.convert(network)
        assert statuses(conversion) == {"first": "converted"}
        assert conversion.model.first is conversion.model.second
        assert_same_outputs(conversion.model, network, image())

    def test_what_a_plain_list_still_holds_is_not_called_converted(self):
        network = InList()
        conversion = ex.convert(network)
        (layer,) = conversion.layers
        assert_same_outputs(conversion.model, network, image())
        replaced = isinstance(conversion.model.steps[0], ex.RelativeSelfAttention)
        assert replaced == (layer.status == "converted")

    def test_tied_weights_stay_tied(self):
        options = {"padding": 1}, {"padding": 2, "dilation": 2}
        network = tied(*(nn.Conv2d(3, 3, 3, **o) for o in options))
        model = ex.convert(network).model
        assert model[0].output_weight is model[1].output_weight
        assert model[0].bias is not model[1].bias
        assert_same_outputs(model, network, image())

    def test_tied_layers_learn_together(self):
        convs = (nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1))
        network = tied(*convs, names=("weight", "bias"))
        model, x = ex.convert(network).model, image()
        for module in (network, model):
            optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
            module(x).square().mean().backward()
            optimizer.step()
        assert model[0].bias is model[1].bias
        assert_same_outputs(model, network, x)

    @pytest.mark.parametrize(
        ("network", "kept"),
        [
            (OwnWeight(), {"conv": r"its weight is also \.decoder"}),
            (
                tied(nn.Conv2d(3, 3, 2), nn.ConvTranspose2d(3, 3, 2)),
                {"0": r"its weight is also 1\.weight", "1": "transposed"},
            ),
            (
                tied(nn.Conv2d(6, 4, 1, groups=2), nn.Conv2d(3, 4, 1)),
                {"0": r"its weight is also 1\.weight", "1": r"also 0\.weight"},
            ),
        ],
    )
    def test_weights_shared_with_something_else_keep_the_convolution(
        self, network: nn.Module, kept: dict[str, str]
    ):
        conversion = ex.convert(network)
        assert statuses(conversion) == dict.fromkeys(kept, "kept")
        for layer, reason in zip(conversion.layers, kept.values(), strict=True):
            assert re.search(reason, layer.reason)

    def test_a_chain_of_ties_is_kept_as_a_whole(self):
        network = tied(*(nn.Conv2d(3, 3, 1) for _ in range(3)))
        network[2].bias = network[1].bias
        assert set(statuses(ex.convert(network)).values()) == {"converted"}
        kept = ex.convert(network, where=["0", "1"])
        assert set(statuses(kept).values()) == {"kept"}
        assert_same_outputs(kept.model, network, image())


class TestWhere:
    @pytest.mark.parametrize(
        ("where", "converted"),
        [
            (None, ["0", "2.0", "2.1"]),
            ("0", ["0"]),
            ("2.*", ["2.0", "2.1"]),
            (["0", "2.1"], ["0", "2.1"]),
            ([], []),
            (lambda name, module: module.groups > 1, ["2.0"]),
            (lambda name, module: name.endswith("1"), ["2.1"]),
        ],
    )
    def test_selects_by_name_pattern_or_predicate(
        self, where: object, converted: list[str]
    ):
        network = small_network()
        conversion = ex.convert(network, where=where)
        assert [layer.name for layer in conversion.converted] == converted
        assert {layer.reason for layer in conversion.kept} <= {"not selected"}
        assert len(conversion.layers) == 3
        assert_same_outputs(conversion.model, network, image())

    @pytest.mark.parametrize("where", ["1", "3.*", ["0", "nowhere"]])
    def test_names_that_match_no_convolution_are_refused(self, where: object):
        with pytest.raises(
            ex.errors.ArgumentError, match=r"matches no convolution.*2\.0"
        ):
            ex.convert(small_network(), where=where)


class TestReport:
    def test_table_shows_every_record(self):
        conversion = ex.convert(ARCHITECTURES["unet"].network())
        table = conversion.table()
        assert "3 of 4 convolutions converted" in table
        for layer in conversion.layers:
            assert layer.name in table
        assert "3×3" in table
        assert "transposed" in table
        assert max(map(len, conversion.table(width=70).splitlines())) <= 70

    def test_table_of_a_single_convolution_names_it(self):
        assert "(the model)" in ex.convert(nn.Conv2d(1, 1, 1)).table()

    def test_records_are_plain_data(self):
        for layer in ex.convert(ARCHITECTURES["unet"].network()).layers:
            plain = json.loads(json.dumps(layer.to_dict()))
            assert LayerRecord(**(plain | {"kernel_size": layer.kernel_size})) == (
                layer
            )

    def test_converted_and_kept_divide_the_layers(self):
        conversion = ex.convert(ARCHITECTURES["unet"].network())
        assert [layer.name for layer in conversion.kept] == ["up"]
        assert set(conversion.converted) | set(conversion.kept) == set(
            conversion.layers
        )


class TestModelsThatCannotBeConverted:
    def test_compiled(self):
        compiled = torch.compile(small_network(), backend="eager")
        with pytest.raises(ex.errors.UnsupportedModuleError, match=r"model\._orig_mod"):
            ex.convert(compiled)

    def test_uncopyable(self):
        network = small_network()
        network.generator = (i for i in range(3))
        with pytest.raises(ex.errors.UnsupportedModuleError, match="cannot be copied"):
            ex.convert(network)

    @pytest.mark.parametrize("model", [3, None, torch.zeros(2), small_network])
    def test_no_module(self, model: object):
        with pytest.raises(ex.errors.UnsupportedModuleError, match=r"nn\.Module"):
            ex.convert(model)


class TestTiedParametrisations:
    def test_a_tie_behind_a_parametrisation_is_not_broken(self):
        first, second = (
            nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 3, 3)) for _ in range(2)
        )
        second.parametrizations.weight.original1 = (
            first.parametrizations.weight.original1
        )
        conversion = ex.convert(nn.Sequential(first, second))
        assert [layer.status for layer in conversion.layers] == ["kept", "kept"]
        assert all("is also" in layer.reason for layer in conversion.layers)

    def test_no_channels_at_all_are_kept(self):
        with pytest.warns(UserWarning, match="zero-element"):
            empty = nn.Conv2d(3, 0, 3)
        (layer,) = ex.convert(empty).layers
        assert layer.status == "kept"
        assert "none of them zero" in layer.reason


@pytest.mark.parametrize("where", [3, [0], {"0"}])
def test_where_needs_names(where: object):
    with pytest.raises(ex.errors.ArgumentError, match="where needs a predicate"):
        ex.convert(small_network(), where=where)
