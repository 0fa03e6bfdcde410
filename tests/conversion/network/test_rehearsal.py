"""convert(inputs=): what only shows when the converted network runs."""

import pytest
import torch
from torch import Tensor, nn

import expressivity as ex
from tests.conversion.network.test_references import (
    GLOBAL,
    HARMLESS,
    QUESTIONS,
    Asking,
    Network,
    image,
)


class TestInputs:
    def test_of_every_kind(self):
        class Two(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.conv = nn.Conv1d(1, 1, 1)

            def forward(self, x: Tensor, y: Tensor, *, scale: float = 1) -> Tensor:
                return scale * self.conv(x) + y

        x = torch.randn(1, 1, 4)
        for inputs in ((x, x), {"x": x, "y": x, "scale": 2.0}):
            assert len(ex.convert(Two(), inputs=inputs).converted) == 1
        assert len(ex.convert(nn.Conv1d(1, 1, 1), inputs=x).converted) == 1
        with pytest.raises(ex.errors.InputError, match="missing 1 required positional"):
            ex.convert(Two(), inputs=x)

    @pytest.mark.parametrize(
        ("strategy", "batch"),
        [("dense", 0), ("fused", 1), ("separable", 3)],
    )
    @pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
    def test_in_every_mode(
        self,
        monkeypatch: pytest.MonkeyPatch,
        strategy: str,
        mode: type,
        batch: int,
        dtype: torch.dtype,
    ):
        network = Network().to(dtype)
        network.last = nn.Conv2d(4, 2, 1, dtype=dtype)
        monkeypatch.setitem(GLOBAL, "last", network.last)
        network.call = lambda x: GLOBAL["last"](network.conv(x))
        x = torch.randn(batch, 3, 6, 5, dtype=dtype)
        with mode():
            conversion = ex.convert(network, strategy=strategy, inputs=x)
        statuses = [layer.status for layer in conversion.layers]
        assert statuses == ["converted", "kept"]
        assert conversion.ruled_out == ("last",)

    def test_of_tied_layers_all_are_kept(self, monkeypatch: pytest.MonkeyPatch):
        network = Network()
        network.twin = nn.Conv2d(3, 4, 3, dilation=2).double()
        network.twin.weight = network.conv.weight
        monkeypatch.setitem(GLOBAL, "conv", network.conv)
        network.call = lambda x: GLOBAL["conv"](x).sum() + network.twin(x)
        conversion = ex.convert(network, inputs=image())
        assert [layer.status for layer in conversion.layers] == ["kept", "kept"]
        assert "which is not converted with it" in conversion.layers[1].reason

    @pytest.mark.parametrize("question", QUESTIONS)
    @pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
    def test_a_class_that_is_asked_for_keeps_its_convolution(
        self, question: str, mode: type
    ):
        network = Asking(QUESTIONS[question])
        with mode():
            conversion = ex.convert(network, inputs=image())
            x = image()
            assert (conversion.model(x) - network(x)).abs().max() < 1e-12
        first, other = conversion.layers
        assert (first.status, other.status) == ("kept", "converted")
        assert "asks whether it is a Conv2d" in first.reason
        assert conversion.ruled_out == ("conv",)

    @pytest.mark.parametrize("answer", HARMLESS)
    def test_other_questions_keep_nothing(self, answer: str):
        network = Asking(HARMLESS[answer])
        conversion = ex.convert(network, inputs=image())
        assert [layer.status for layer in conversion.layers] == ["converted"] * 2
        x = image()
        assert (conversion.model(x) - network(x)).abs().max() < 1e-12

    @pytest.mark.parametrize("inputs", [3, [torch.ones(1)], "x"])
    def test_of_no_kind(self, inputs: object):
        with pytest.raises(
            ex.errors.ArgumentError, match="inputs needs a tensor, a tuple"
        ):
            ex.convert(nn.Conv1d(1, 1, 1), inputs=inputs)

    def test_change_nothing(self):
        """Neither statistics, nor random numbers, nor the inputs themselves."""
        network = nn.Sequential(
            nn.ReLU(inplace=True),
            nn.Conv2d(3, 4, 3),
            nn.BatchNorm2d(4),
            nn.Dropout(),
        )
        x, state = torch.randn(2, 3, 5, 5), torch.get_rng_state()
        before = x.clone()
        model = ex.convert(network, inputs=x).model
        assert torch.equal(x, before)
        assert torch.equal(torch.get_rng_state(), state)
        for each in (network, model):
            assert each[2].num_batches_tracked == 0
        assert model.training

    def test_that_only_the_converted_network_cannot_take(self):
        class Counting(nn.Sequential):
            def forward(self, x: Tensor) -> Tensor:
                kinds = [type(module).__name__ for module in self]
                return [super(Counting, self).forward][kinds.index("Conv1d")](x)

        network = Counting(nn.Conv1d(1, 1, 1))
        with pytest.raises(
            ex.errors.UnsupportedModuleError, match=r"the given one can: .* ValueError"
        ):
            ex.convert(network, inputs=torch.ones(1, 1, 3))
