"""Parameters that are written where torch counts no write: no answer is ever stale."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, multiprocessing, nn

import expressivity as ex
from expressivity.heads import memo, placement
from tests import laws
from tests.cases import BASE, BASE_1D

Writer = Callable[[Tensor, Tensor], None]


def through_data(tensor: Tensor, value: Tensor) -> None:
    tensor.data.copy_(value)


def through_numpy(tensor: Tensor, value: Tensor) -> None:
    tensor.detach().numpy()[...] = value.numpy()


def through_dlpack(tensor: Tensor, value: Tensor) -> None:
    torch.from_dlpack(tensor.detach()).copy_(value)


def through_its_storage(tensor: Tensor, value: Tensor) -> None:
    storage = tensor.untyped_storage()
    torch.empty(0, dtype=tensor.dtype).set_(storage).view_as(tensor).copy_(value)


def in_another_process(tensor: Tensor, value: Tensor) -> None:
    process = multiprocessing.get_context("fork").Process(
        target=_write, args=(tensor.detach(), value)
    )
    process.start()
    process.join()
    assert process.exitcode == 0


def _write(tensor: Tensor, value: Tensor) -> None:
    tensor.copy_(value)


WRITERS = [
    through_data,
    through_numpy,
    through_dlpack,
    through_its_storage,
    in_another_process,
]


def truncated(alpha: float) -> nn.Module:
    return ex.attention_from_conv(BASE.conv(), alpha=alpha, head_dim=2)


def materialized(alpha: float) -> nn.Module:
    return ex.attention_from_conv(BASE.conv(), alpha=alpha).materialize_projections()


def shuffled(alpha: float) -> nn.Module:
    """Its kernel is no view of its projection."""
    layer = ex.attention_from_conv(BASE.conv(), alpha=alpha)
    with torch.no_grad():
        for parameter in (layer.centers, layer.output_weight):
            axis = 0 if parameter is layer.centers else -1
            parameter.copy_(parameter.flip(axis))
    return layer


def scattered(alpha: float) -> nn.Module:
    """Each head is smoothed alone."""
    layer = ex.attention_from_conv(BASE.conv(), alpha=alpha)
    with torch.no_grad():
        layer.alpha.add_(torch.linspace(0, 0.5, len(layer.alpha)))
    return layer


def with_a_table(alpha: float) -> nn.Module:
    layer = ex.attention_from_conv(BASE.conv(), alpha=alpha)
    return layer.add_table([-2, -2], [5, 5])


LAYERS = [truncated, materialized, shuffled, scattered, with_a_table]


def assert_is_what_dense_computes(layer: nn.Module) -> None:
    x = BASE.input()
    expected = laws.with_strategy(layer, "dense")(x).detach()
    atol = 1e-13 * (1 + float(expected.abs().max()))
    torch.testing.assert_close(layer(x).detach(), expected, rtol=0, atol=atol)


def write_all(layer: nn.Module, writer: Writer) -> None:
    for name, parameter in layer.named_parameters():
        shift = 0.25 if name in ("alpha", "centers") else 0.0
        writer(parameter, 0.9 * parameter.detach() + shift)


class TestOnACpu:
    @pytest.mark.parametrize("alpha", [1.0, 60.0])
    @pytest.mark.parametrize("build", LAYERS)
    @pytest.mark.parametrize("writer", WRITERS)
    def test_the_next_answer_is_that_of_the_new_numbers(
        self, writer: Writer, build: Callable[[float], nn.Module], alpha: float
    ) -> None:
        layer = build(alpha)
        if writer is in_another_process:
            layer.share_memory()
        for mode in (torch.no_grad, torch.inference_mode, torch.enable_grad):
            with mode():
                before = layer(BASE.input())
                write_all(layer, writer)
                assert (layer(BASE.input()) - before).abs().max() > 1e-3
                assert_is_what_dense_computes(layer)

    @pytest.mark.parametrize("writer", WRITERS[:-1])
    @torch.no_grad()
    def test_a_single_bit_is_noticed(self, writer: Writer) -> None:
        layer = truncated(1.0)
        layer(BASE.input())
        changed = layer.value_weight.detach().clone()
        last = changed.view(-1)[-1]
        last.copy_(torch.nextafter(last, last + 1))
        writer(layer.value_weight, changed)
        fresh = laws.with_strategy(layer, "separable")
        assert torch.equal(layer(BASE.input()), fresh(BASE.input()))

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
    @torch.no_grad()
    def test_exchanged_entries_and_signs_of_zero(self, dtype: torch.dtype) -> None:
        cache, weight = memo.Memo(), torch.arange(-3, 4, dtype=dtype)

        def copied() -> Tensor:
            return cache.get("copy", [weight], weight.clone)

        def assert_fresh() -> None:
            assert torch.equal(1 / copied(), 1 / weight)
            assert copied() is copied()

        assert_fresh()
        weight.data.copy_(weight.flip(0))
        assert_fresh()
        weight.data[3] = -0.0
        assert_fresh()
        weight.data[2] = torch.nan
        assert copied() is copied()  # NaN is the number that it was
        assert copied()[2].isnan()

    @pytest.mark.parametrize("offset", [0, 1, 2])
    @torch.no_grad()
    def test_views_into_a_buffer_of_many_parameters(self, offset: int) -> None:
        cache, buffer = memo.Memo(), torch.arange(20, dtype=torch.float32)
        for weight in (buffer[offset : offset + 6], buffer[offset::3]):
            for _ in range(2):
                total = cache.get("total", [weight], lambda w=weight: float(w.sum()))
                assert total == float(weight.sum())
                buffer.data.add_(1)

    def test_a_validation_after_an_optimizer_that_writes_behind_autograd(self) -> None:
        layer, x = truncated(1.0), BASE.input()
        for _ in range(3):
            layer(x).square().sum().backward()
            for parameter in layer.parameters():
                parameter.data -= 1e-3 * parameter.grad
            layer.zero_grad()
            with torch.no_grad():
                assert_is_what_dense_computes(layer)

    def test_one_copy_serves_all_sizes(self) -> None:
        layer = truncated(1.0)
        with torch.no_grad():
            for size in [(5, 6), (7, 6), (9, 9)]:
                layer(replace(BASE, size=size).input())
        witnesses = {
            id(kept.witnesses): kept.witnesses
            for kept in layer._memo._entries.values()
            if kept.witnesses
        }
        assert len(witnesses) == 1

    def test_what_follows_from_old_numbers_is_not_held(self) -> None:
        layer = truncated(1.0)
        with torch.no_grad():
            for size in [(5, 6), (7, 6), (9, 9)]:
                layer(replace(BASE, size=size).input())
            before = len(layer._memo._entries)
            layer.value_weight.mul_(2)
            layer(BASE.input())
        assert len(layer._memo._entries) < before


@pytest.fixture
def _on_a_device_that_runs_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat the CPU as a GPU: its numbers are not read on every call."""
    for module in (memo, placement):
        monkeypatch.setattr(module, "is_at_hand", lambda _: False)


@pytest.mark.usefixtures("_on_a_device_that_runs_behind")
class TestOnADeviceThatRunsBehind:
    @pytest.mark.parametrize("alpha", [1.0, 60.0])
    @pytest.mark.parametrize("build", LAYERS)
    def test_a_pass_that_records_gradients_forgets(
        self, build: Callable[[float], nn.Module], alpha: float
    ) -> None:
        layer = build(alpha)
        layer.requires_grad_(True)
        for size in ((7, 6), BASE.size):
            with torch.no_grad():
                layer(replace(BASE, size=size).input())
        layer(replace(BASE, size=(7, 6)).input()).sum().backward()
        write_all(layer, through_data)
        with torch.no_grad():
            assert_is_what_dense_computes(layer)

    @pytest.mark.parametrize("switch", [nn.Module.train, nn.Module.eval])
    @pytest.mark.parametrize("build", LAYERS)
    @torch.no_grad()
    def test_a_switch_of_the_network_forgets(
        self,
        build: Callable[[float], nn.Module],
        switch: Callable[[nn.Module], nn.Module],
    ) -> None:
        network = nn.Sequential(build(1.0))
        network(BASE.input())
        write_all(network[0], through_data)
        switch(network)
        assert_is_what_dense_computes(network[0])

    @torch.no_grad()
    def test_counted_writes_are_noticed(self) -> None:
        layer = truncated(1.0)
        layer(BASE.input())
        for parameter in layer.parameters():
            parameter.mul_(0.9)
        assert_is_what_dense_computes(layer)

    def test_frozen_positions_are_not_read_again(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        layer, reads = ex.attention_from_conv(BASE_1D.conv()), []
        read = placement._read
        monkeypatch.setattr(placement, "_read", lambda *a: reads.append(a) or read(*a))
        for _ in range(3):
            layer(BASE_1D.input()).sum().backward()
        assert len(reads) == 1
