"""A witness: inputs on which every setting of a layer's parameters fails.

A family treats some inputs alike at some outputs, whatever its parameters are; a
convolution does not. So each setting is wrong on one of them, by half of the
difference at least.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from expressivity.checks import Progress, check_progress
from expressivity.errors import ArgumentError
from expressivity.geometry.convolution import Convolution

Relation = Callable[[Float[Tensor, "inputs out_channels"]], Tensor]
Maker = Callable[[bool], nn.Module]
_RATE = 0.05  # largest learning rate of an attack
_UNIT = 2.0**-53  # half an ulp of one in float64


def same(outputs: Float[Tensor, "inputs out_channels"]) -> Float[Tensor, "_ _"]:
    """Return how far outputs are from being all the same.

    Args:
        outputs: One row an input.

    Returns:
        The differences to the first.
    """
    return outputs[1:] - outputs[:1]


@dataclass(frozen=True)
class Witness:
    """Inputs that a family cannot tell apart, or not as a convolution does.

    Attributes:
        inputs: (inputs, in_channels, *size), float64.
        query: The output position that counts, per axis, one for each input.
        targets: What the convolution computes there, (inputs, out_channels).
        bound: Every setting of the parameters errs by at least this, in some channel,
            on some of the inputs; absolute.
        kind: The kind of witness, in a word: ``"swap"``, ``"border"``, …
        symmetry: Why the family treats the inputs alike, in a sentence.
        make: Makes a layer for these inputs: of the family, or, given ``True``, with
            the condition restored that the family lacks. That control can get below
            the bound.
        scale: Standard deviation of random parameters. Large ones saturate a softmax,
            which an attack is slow to leave.
        relation: What vanishes for the layer's outputs, whatever its parameters.
    """

    inputs: Float[Tensor, "inputs in_channels ..."]
    query: tuple[tuple[int, ...], ...]
    targets: Float[Tensor, "inputs out_channels"]
    bound: float
    kind: str
    symmetry: str
    make: Maker = field(repr=False)
    scale: float = field(default=1.0, repr=False)
    relation: Relation = field(default=same, repr=False)

    @classmethod
    def of(
        cls,
        conv: Convolution,
        inputs: Float[Tensor, "inputs in_channels ..."],
        query: tuple[tuple[int, ...], ...],
        *,
        kind: str,
        symmetry: str,
        make: Maker,
        scale: float = 1.0,
        relation: Relation = same,
        share: float = 0.5,
        needs: str = "a convolution that tells its inputs apart",
    ) -> "Witness":
        """Return the witness that inputs make whose outputs a family relates.

        Outputs within e of the convolution's have a relation within e / share of the
        convolution's. For the family it vanishes, so e is at least share times that.

        Args:
            conv: The convolution.
            inputs: The inputs; the symmetry holds for these very numbers.
            query: The output position of each.
            kind: The kind of witness.
            symmetry: Why the family relates them.
            make: Makes a layer of the family, or a control.
            scale: Standard deviation of random parameters.
            relation: What vanishes for the layer's outputs; by default two inputs have
                the same outputs.
            share: By how much outputs need to move for a relation to move by one.
            needs: What the convolution lacks where there is no bound, for the message.

        Returns:
            The witness; its bound is rounded downward.

        Raises:
            ArgumentError: If the convolution's relation vanishes, too, or may do so
                within the rounding of its outputs.
        """
        inputs = inputs.double()
        with torch.no_grad():
            targets = _at(_evaluated(conv, inputs), query)
            sizes = _at(_evaluated(conv, inputs.abs(), Tensor.abs), query)
        bound = _rounded_down(conv, share * relation(targets).abs(), sizes)
        if not bound > 0:
            size = "×".join(map(str, inputs.shape[2:]))
            raise ArgumentError(
                f"the {kind} witness needs {needs}, got {conv} on {size} pixels: take "
                "another kernel or size"
            )
        return cls(inputs, query, targets, bound, kind, symmetry, make, scale, relation)

    @property
    def input_bound(self) -> float:
        """The largest absolute value in the inputs, ‖x‖∞."""
        return float(self.inputs.abs().max())

    def outputs(self, layer: nn.Module) -> Float[Tensor, "inputs out_channels"]:
        """Return what a layer computes where it counts.

        Args:
            layer: Any module that maps the inputs.

        Returns:
            One row an input.
        """
        return _at(layer(self.inputs), self.query)

    def layer(self, seed: int) -> nn.Module:
        """Return a layer of the family with the random parameters of a seed."""
        return self._random(seed, restored=False)

    def control(self, seed: int) -> nn.Module:
        """Return the same with the missing condition restored, where that can be."""
        return self._random(seed, restored=True)

    def _random(self, seed: int, *, restored: bool) -> nn.Module:
        with torch.device("cpu"):  # where layers make their own parameters
            return randomised(self.make(restored), seed, self.scale)

    def error(self, layer: nn.Module) -> Float[Tensor, ""]:
        """Return the largest error of a layer on the witness.

        Args:
            layer: Any module that maps the inputs.

        Returns:
            Over inputs and channels, absolute.
        """
        return (self.outputs(layer) - self.targets).abs().max()

    def violation(self, seed: int = 0) -> float:
        """Return how far a random layer is from what the symmetry says of it.

        Args:
            seed: Decides the parameters.

        Returns:
            Zero up to rounding, relative to the outputs' size.
        """
        with torch.no_grad(), torch.device("cpu"):
            outputs = self.outputs(self.layer(seed))
            size = float(outputs.abs().max()) or 1.0
            return float(self.relation(outputs).abs().max()) / size

    def attack(
        self, steps: int = 300, *, seed: int = 0, control: bool = False
    ) -> float:
        """Optimise the parameters of a layer to compute the convolution on the inputs.

        Args:
            steps: Steps of Adam.
            seed: Decides where it starts.
            control: Whether to optimise the layer with the condition restored.

        Returns:
            The smallest error on the way, absolute: never below the bound, but for
            the control.
        """
        return self.trace(steps, seed=seed, control=control)[-1]

    def trace(
        self,
        steps: int = 300,
        *,
        seed: int = 0,
        control: bool = False,
        progress: Progress | None = None,
    ) -> tuple[float, ...]:
        """Return how an attack went: the smallest error so far, step by step.

        Args:
            steps: Steps of Adam.
            seed: Decides where it starts.
            control: Whether to optimise the layer with the condition restored.
            progress: Wraps the iterable of steps, as ``tqdm`` does; by default nothing.

        Returns:
            One error more than there are steps: first that of random parameters.
        """
        layer = self._random(seed, restored=control)
        with torch.device("cpu"):  # where the optimiser keeps its counts
            least: list[float] = []
            optimizer = torch.optim.Adam(layer.parameters(), lr=_RATE)
            schedule = torch.optim.lr_scheduler.OneCycleLR(
                optimizer, max_lr=_RATE, total_steps=max(steps, 1)
            )
            for step in check_progress(progress)(range(steps + 1)):
                gap = self.outputs(layer) - self.targets
                error = float(gap.detach().abs().max())
                least.append(min([error, *least[-1:]]))
                if step == steps:
                    break
                optimizer.zero_grad()
                gap.square().sum().backward()
                optimizer.step()
                schedule.step()
        return tuple(least)


def randomised(layer: nn.Module, seed: int, scale: float = 1.0) -> nn.Module:
    """Fill a layer with normal random parameters, in float64.

    Args:
        layer: Any module.
        seed: Decides them.
        scale: Their standard deviation.

    Returns:
        The same module.
    """
    layer = layer.double()
    generator = torch.Generator("cpu").manual_seed(seed)
    with torch.no_grad():
        for parameter in layer.parameters():
            shape, dtype = parameter.shape, torch.float64
            numbers = torch.randn(shape, generator=generator, dtype=dtype, device="cpu")
            parameter.copy_(scale * numbers)
    return layer


def _at(outputs: Tensor, query: tuple[tuple[int, ...], ...]) -> Tensor:
    """Return the outputs at one position for each input."""
    return torch.stack([
        output[(slice(None), *place)]
        for output, place in zip(outputs, query, strict=True)
    ])


def _evaluated(
    conv: Convolution, x: Tensor, change: Callable[[Tensor], Tensor] = Tensor.clone
) -> Tensor:
    """Evaluate a convolution in float64 with parameters that a function changes."""
    wide = {name: change(p.double().cpu()) for name, p in conv.named_parameters()}
    output: Tensor = torch.func.functional_call(conv, wide, (x,))
    return output


def _rounded_down(
    conv: Convolution,
    least: Float[Tensor, "*relations out_channels"],
    sizes: Float[Tensor, "inputs out_channels"],
) -> float:
    """Return what rounding leaves of the largest bound; ``sizes`` add up |terms|."""
    # Not above the true bound, and not positive where that may be zero. Holds for
    # any order of summation; 8 stands for a few operations of the relation.
    terms = conv.weight[0].numel() + 8
    rounding = 2 * terms * _UNIT * sizes.amax(0)
    return float((least - rounding).max()) * (1 - 4 * _UNIT)
