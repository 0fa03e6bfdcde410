"""How a network is trained: rates, steps, and what is done to images."""

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from expressivity.checks import check_choice, check_integer, check_positive
from expressivity.errors import ArgumentError

Optimizer = Literal["sgd", "adam"]
_MOMENTUM = 0.9


@dataclass(frozen=True)
class Schedule:
    """How a network is trained. The defaults are the paper's.

    Attributes:
        epochs: Passes over the training images.
        batch: Images a step, over all processes.
        learning_rate: The largest: it rises linearly, then falls as a cosine to zero.
        optimizer: ``"sgd"``, with momentum 0.9, or ``"adam"``, with decoupled decay.
        weight_decay: As torch's optimizers take it.
        positions_rate: Learning rate of centers, α and covariances, over that of
            weights. They are not decayed.
        warmup: Share of the steps in which the learning rate rises.
        crop: Pixels by which training images are shifted at random, at most.
        flip: Whether training images are mirrored at random.
        every: Epochs from one record and checkpoint to the next; the last epoch has
            one in any case.

    Raises:
        ArgumentError: If a number is out of range.
    """

    epochs: int = 300
    batch: int = 100
    learning_rate: float = 0.1
    optimizer: Optimizer = "sgd"
    weight_decay: float = 1e-4
    positions_rate: float = 1.0
    warmup: float = 0.05
    crop: int = 0
    flip: bool = False
    every: int = 1

    def __post_init__(self) -> None:
        check_integer("epochs", self.epochs, least=0)
        check_integer("batch", self.batch)
        check_integer("every", self.every)
        check_integer("crop", self.crop, least=0)
        check_positive("learning_rate", self.learning_rate)
        check_positive("positions_rate", self.positions_rate)
        check_choice("optimizer", self.optimizer, get_args(Optimizer))
        if not (0 <= self.warmup <= 1 and 0 <= self.weight_decay < math.inf):
            raise ArgumentError(
                "warmup needs a share from 0 to 1 and weight_decay a number of at "
                f"least 0, got {self.warmup} and {self.weight_decay}"
            )

    def recorded(self, epoch: int) -> bool:
        """Whether an epoch ends with a record."""
        return epoch % self.every == 0 or epoch == self.epochs

    def rate(self, step: int, steps: int) -> float:
        """Return the learning rate of a step.

        Args:
            step: Its number, from 0.
            steps: How many there are.

        Returns:
            The rate.

        Example:
            >>> schedule = Schedule(learning_rate=1.0, warmup=0.5)
            >>> [round(schedule.rate(step, 8), 2) for step in range(8)]
            [0.25, 0.5, 0.75, 1.0, 1.0, 0.85, 0.5, 0.15]
        """
        rising = math.ceil(self.warmup * steps)
        if step < rising:
            return self.learning_rate * (step + 1) / rising
        done = (step - rising) / max(1, steps - rising)
        return self.learning_rate * (1 + math.cos(math.pi * done)) / 2

    def optimizer_of(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """Return the optimizer of some groups of parameters."""
        decay = self.weight_decay
        if self.optimizer == "adam":
            return torch.optim.AdamW(groups, weight_decay=decay)
        return torch.optim.SGD(groups, momentum=_MOMENTUM, weight_decay=decay)

    def augmented(
        self,
        inputs: Float[Tensor, "batch channels height width"],
        generator: torch.Generator,
    ) -> Float[Tensor, "batch channels height width"]:
        """Return images that are shifted and mirrored at random, each by itself."""
        count, _, height, width = inputs.shape
        if self.crop:
            wide = functional.pad(inputs, [self.crop] * 4)
            shifts = torch.randint(
                2 * self.crop + 1, (2, count, 1), generator=generator, device="cpu"
            )
            rows, columns = (
                shift + torch.arange(pixels, device="cpu")
                for shift, pixels in zip(shifts, (height, width), strict=True)
            )
            image = torch.arange(count, device="cpu")[:, None, None]
            moved = wide.movedim(1, -1)[image, rows[:, :, None], columns[:, None]]
            inputs = moved.movedim(-1, 1)
        if self.flip:
            chosen = torch.rand(count, generator=generator, device="cpu") < 1 / 2
            mirrored = chosen[:, None, None, None].to(inputs.device)
            inputs = torch.where(mirrored, inputs.flip(-1), inputs)
        return inputs
