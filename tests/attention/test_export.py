"""torch.export freezes α and the centers, and follows everything else."""

import pytest
import torch
from torch import nn

import expressivity as ex
from expressivity.heads import placement
from tests import laws
from tests.attention.test_tracing import (
    CHANGES,
    FEW,
    Swapped,
    assert_alike,
    compiled,
    frozen,
    mixed_network,
    needs_guards,
    parametrised_layer,
    per_mode,
)
from tests.cases import BASE


class TestExport:
    pytestmark = compiled

    @needs_guards
    @per_mode
    def test_program_is_that_of_the_network(self, strict: bool):
        network = mixed_network()
        programs = [
            exported(model, strict=strict)
            for model in (network, ex.convert(network).model)
        ]
        for batch, size in [(2, (32, 32)), (5, (57, 48)), (3, (64, 33))]:
            x = torch.randn(batch, 3, *size, dtype=torch.float64)
            assert_alike(*(program.module()(x) for program in programs))
        kinds = [
            [str(node.target) for node in program.graph.nodes] for program in programs
        ]
        convolutions = [sum("conv" in kind for kind in k) for k in kinds]
        assert convolutions[0] == convolutions[1] == 5
        assert len(kinds[1]) <= len(kinds[0]) + 12 * 5  # padding that copies pixels

    @per_mode
    @pytest.mark.parametrize("alpha", [None, 0.7])
    def test_program_keeps_the_values_it_was_traced_with(
        self, strict: bool, alpha: float | None
    ):
        if strict and not placement._IS_GUARDED:
            pytest.skip("this torch has no opaque objects")
        options = {} if alpha is None else {"alpha": alpha}
        layer, x = frozen(ex.attention_from_conv(FEW.conv(), **options)), FEW.input()
        before = layer(x).detach()
        with torch.no_grad():
            program = torch.export.export(layer, (x,), strict=strict).module()
        assert_alike(program(x), before)
        layer.alpha.fill_(0.3)
        layer.centers.add_(1)
        assert (layer(x) - before).abs().max() > 1e-3
        assert_alike(program(x), before)
        program.load_state_dict(layer.state_dict(), strict=False)
        assert_alike(program(x), before)

    @per_mode
    def test_program_has_the_values_of_the_moment(self, strict: bool):
        layer, x = frozen(ex.attention_from_conv(FEW.conv())), FEW.input()
        for change in (None, *CHANGES):
            if change is not None:
                change(layer)
            program = torch.export.export(layer, (x,), strict=strict).module()
            assert_alike(program(x), layer(x))

    @pytest.mark.parametrize("name", ["swapped", "parametrised"])
    def test_computed_strengths_are_followed(self, name: str):
        layer = parametrised_layer() if name == "parametrised" else Swapped()
        x = FEW.input()
        with torch.no_grad():
            program = torch.export.export(layer, (x,), strict=False).module()
            assert_alike(program(x), layer(x))
            for parameter in layer.parameters():
                parameter.mul_(0.5)
            program.load_state_dict(layer.state_dict(), strict=False)
            assert_alike(program(x), layer(x))

    @torch.no_grad()
    def test_nothing_of_a_tracer_is_kept(self):
        layer, x = ex.attention_from_conv(BASE.conv(), head_dim=5), BASE.input()
        torch.export.export(layer, (x,), strict=False)
        laws.assert_equals_convolution(
            layer, BASE.conv(), x, alpha=float(layer.alpha[0])
        )


def exported(model: nn.Module, *, strict: bool) -> torch.export.ExportedProgram:
    x = torch.randn(2, 3, 40, 36, dtype=torch.float64)
    names = {0: "batch", 2: "height", 3: "width"}
    dims = {axis: torch.export.Dim(name, min=2) for axis, name in names.items()}
    for axis in (2, 3):
        dims[axis] = torch.export.Dim(names[axis], min=32)
    with torch.no_grad():
        return torch.export.export(model, (x,), dynamic_shapes=(dims,), strict=strict)
