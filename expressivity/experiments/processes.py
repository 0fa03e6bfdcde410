"""The processes that train together: one, or those that ``torchrun`` starts."""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar, cast

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from expressivity.errors import ArgumentError

Value = TypeVar("Value")


@dataclass(frozen=True)
class Processes:
    """One process among those that train a network together.

    Attributes:
        rank: Its number.
        count: How many there are.
        device: Where it computes.
    """

    rank: int = 0
    count: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def leads(self) -> bool:
        """Whether this process writes files and speaks to the user."""
        return self.rank == 0

    def share(self, batch: Tensor) -> Tensor:
        """Return the part of a batch that is this process's."""
        return batch[self.rank :: self.count]

    def total(self, *numbers: float) -> list[float]:
        """Return the sums over all processes."""
        if self.count == 1:
            return list(numbers)
        totals = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        distributed.all_reduce(totals)
        return cast("list[float]", totals.tolist())

    def agreed(self, value: Value) -> Value:
        """Return the value of the process that leads."""
        if self.count == 1:
            return value
        values = [value]
        distributed.broadcast_object_list(values, device=self.device)
        return values[0]

    def align(self, model: nn.Module) -> None:
        """Give all processes the buffers of the one that leads.

        Each updates those of batch normalisation from its own part of a batch.
        """
        if self.count > 1:
            for buffer in model.buffers():
                distributed.broadcast(buffer, 0)

    def wrapped(self, model: nn.Module) -> nn.Module:
        """Return a network whose gradients are means over all processes.

        Args:
            model: On the device. On GPUs its batch normalisations become synchronous;
                torch has none for CPUs, where each process normalises its own part.
        """
        if self.count == 1:
            return model
        if self.device.type == "cuda":
            model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
        return DistributedDataParallel(model)


@contextmanager
def joined(device: str) -> Iterator[Processes]:
    """Join the processes of ``torchrun``, if it has started this one.

    Args:
        device: ``"cpu"``, ``"cuda"``, or ``"auto"`` for a GPU if there is one.

    Yields:
        This process among them.

    Raises:
        ArgumentError: If there is no such device.
    """
    if device not in {"auto", "cpu", "cuda"}:
        raise ArgumentError(f"device needs one of auto, cpu and cuda, got {device!r}")
    if device == "cuda" and not torch.cuda.is_available():
        raise ArgumentError("device='cuda' needs a GPU that torch can see: use 'cpu'")
    kind = "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"
    if "WORLD_SIZE" not in os.environ:
        yield Processes(device=torch.device(kind))
        return
    where = torch.device(kind)
    if kind == "cuda":
        where = torch.device(kind, int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(where)
    distributed.init_process_group("nccl" if kind == "cuda" else "gloo")
    try:
        yield Processes(distributed.get_rank(), distributed.get_world_size(), where)
        distributed.barrier()  # none leaves while another still needs it
    finally:
        gc.collect()  # what wrapped networks hold of the group goes before the group
        distributed.destroy_process_group()
