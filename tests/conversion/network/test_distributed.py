"""A converted network trains on two processes as it does on one."""

import os
from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed, multiprocessing, nn
from torch.nn.parallel import DistributedDataParallel

import expressivity as ex

PROCESSES, BATCH, STEPS = 2, 6, 2
ALPHAS = {"saturated": None, "soft": 1.0}


def network(alpha: float | None) -> nn.Module:
    """Return a small converted network: groups, strides, two padding modes."""
    torch.manual_seed(0)
    convolutions = nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(4, 4, 2, groups=2, padding="same", padding_mode="replicate"),
        nn.Flatten(),
        nn.LazyLinear(3),
    ).double()
    convolutions(images())
    return ex.convert(convolutions, alpha=alpha).model


def images() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(BATCH, 1, 8, 7, generator=generator, dtype=torch.float64)


def train(model: nn.Module, x: Tensor) -> list[dict[str, Tensor]]:
    """Return the outputs and all gradients of a few steps."""
    records, optimizer = [], torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(STEPS):
        optimizer.zero_grad()
        output = model(x)
        output.square().mean().backward()
        gradients = {
            name.removeprefix("module."): parameter.grad.clone()
            for name, parameter in model.named_parameters()
            if parameter.requires_grad
        }
        records.append({"output": output.detach()} | gradients)
        optimizer.step()
    return records


def work(rank: int, folder: str) -> None:
    """Train on a share of the images; what one process does."""
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=PROCESSES
    )
    share = images().chunk(PROCESSES)[rank]
    found = {
        name: train(DistributedDataParallel(network(alpha)), share)
        for name, alpha in ALPHAS.items()
    }
    torch.save(found, f"{folder}/{rank}.pt")
    distributed.barrier()  # nobody leaves while another still talks to it
    distributed.destroy_process_group()
    # Without destructors: that of a thread that is not joined yet aborts the process.
    os._exit(0)


@pytest.fixture(scope="module")
def shares(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, list]]:
    """Return what each of two processes found."""
    folder: Path = tmp_path_factory.mktemp("processes")
    multiprocessing.spawn(work, (str(folder),), nprocs=PROCESSES)
    return [torch.load(folder / f"{rank}.pt") for rank in range(PROCESSES)]


@pytest.mark.skipif(not distributed.is_available(), reason="torch without processes")
@pytest.mark.parametrize("heads", ALPHAS)
def test_shares_of_a_batch_add_up(heads: str, shares: list[dict[str, list]]) -> None:
    model = network(ALPHAS[heads])
    alphas = [name for name, _ in model.named_parameters() if name.endswith("alpha")]
    assert len(alphas) == 2
    alone = train(model, images())
    for step, expected in enumerate(alone):
        records = [share[heads][step] for share in shares]
        output = torch.cat([record.pop("output") for record in records])
        torch.testing.assert_close(output, expected.pop("output"), rtol=1e-12, atol=0)
        for record in records:
            assert record.keys() == expected.keys()
            for name, gradient in expected.items():
                torch.testing.assert_close(
                    record[name], gradient, rtol=0, atol=1e-12, msg=name
                )
        # Saturated heads stay where they are.
        assert expected.keys().isdisjoint(alphas) == (heads == "saturated")
        assert all(expected[name].any() for name in alphas if name in expected)
