"""Verify that a converted model computes what the original does."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from expressivity import comparison
from expressivity.cli.console import track
from expressivity.cli.process import may_be_handled
from expressivity.cli.weights import read_inputs
from expressivity.comparison import Difference
from expressivity.conversion.network import Conversion
from expressivity.errors import ExpressivityError, InputError, UnsupportedModuleError
from expressivity.listing import Listing
from expressivity.machine.exhaustion import is_out_of_memory

SCALES = (0.1, 1.0, 10.0)


@dataclass(frozen=True)
class InputSet:
    """Inputs that a model is verified on.

    Attributes:
        label: Where they are from.
        batches: The inputs, in batches.
    """

    label: str
    batches: Sequence[Tensor]


@dataclass(frozen=True)
class Agreement:
    """How far original and converted model were apart on one set of inputs.

    Attributes:
        inputs: Where the inputs were from.
        count: Their number.
        difference: Over all outputs of both.
    """

    inputs: str
    count: int
    difference: Difference

    def to_dict(self) -> dict[str, object]:
        """Return the agreement as plain data.

        Returns:
            Ready for JSON.
        """
        return {
            "inputs": self.inputs,
            "count": self.count,
            "largest_difference": self.difference.largest,
            "output_scale": self.difference.scale,
            "relative_difference": self.difference.relative,
        }


def input_sets(
    shape: Sequence[int], dtype: torch.dtype, seed: int, inputs: Path | None
) -> list[InputSet]:
    """Make random inputs of several scales and read real ones.

    Args:
        shape: Of a batch.
        dtype: Floating dtype of the model.
        seed: Decides the random inputs.
        inputs: A file of real inputs.

    Returns:
        Normal random numbers, one batch a scale; then the real inputs.

    Raises:
        FileError: As :func:`expressivity.cli.weights.read_inputs`.
    """
    generator = torch.Generator("cpu").manual_seed(seed)
    sets = [
        InputSet(
            f"random, scale {scale:g}",
            [
                (scale * torch.randn(*shape, generator=generator, device="cpu")).to(
                    dtype
                )
            ],
        )
        for scale in SCALES
    ]
    if inputs is not None:
        real = read_inputs(inputs, like=shape, dtype=dtype)
        sets.append(InputSet(str(inputs), real.split(shape[0])))
    return sets


def check_model_runs(model: nn.Module, sets: Sequence[InputSet]) -> None:
    """Refuse a model that cannot run on its inputs: nothing could be verified.

    Args:
        model: The original.
        sets: What to run it on.

    Raises:
        InputError: If it fails, its outputs are not all finite, or it has none.
    """
    for inputs in sets:
        for batch in track(inputs.batches, f"running the model: {inputs.label}"):
            try:
                with torch.no_grad():
                    leaves = pytree.tree_leaves(model(batch.clone()))
            except BaseException as error:
                if not may_be_handled(error):
                    raise
                raise InputError(
                    "the model needs to run on an input of shape "
                    f"{tuple(batch.shape)} (--input) and {batch.dtype}, but failed "
                    f"with {_named(error)}"
                ) from error
            if not any(isinstance(leaf, Tensor) and leaf.numel() for leaf in leaves):
                raise InputError(
                    "the model needs to return tensors with elements, but returned "
                    f"none on inputs ({inputs.label}), so nothing can be verified"
                )
            if not all(_is_finite(leaf) for leaf in leaves):
                raise InputError(
                    "the model itself returns NaN or infinite numbers on inputs "
                    f"({inputs.label}), so nothing can be verified: check the weights "
                    "and the inputs"
                )


def compare(
    model: nn.Module, converted: nn.Module, sets: Sequence[InputSet]
) -> list[Agreement]:
    """Run both models on all inputs.

    Args:
        model: The original.
        converted: The converted one.
        sets: What to run them on.

    Returns:
        One agreement a set.

    Raises:
        ExpressivityError: If a layer of the converted model refuses an input.
        MemoryError: If the converted model needs more memory than there is.
        UnsupportedModuleError: If the converted model cannot run.
    """
    agreements = []
    for inputs in sets:
        batches = track(inputs.batches, f"comparing both models: {inputs.label}")
        try:
            difference = comparison.compare(model, converted, batches)
        except ExpressivityError:
            raise
        except BaseException as error:
            if is_out_of_memory(error):
                raise MemoryError(
                    "the converted model runs out of it where the original does not; "
                    "take a smaller --input, a --strategy other than dense, or fewer "
                    f"layers by --where ({_named(error)})"
                ) from error
            if not may_be_handled(error):
                raise
            raise UnsupportedModuleError(
                f"the converted model cannot run: {_named(error)}. The model may use "
                "of a convolution what attention does not have: leave that one out by "
                "--where"
            ) from error
        count = sum(len(batch) for batch in inputs.batches)
        agreements.append(Agreement(inputs.label, count, difference))
    return agreements


def agreement_table(agreements: Sequence[Agreement]) -> Listing:
    """Lay agreements out for a terminal.

    Args:
        agreements: One row each.

    Returns:
        The table.
    """
    table = Listing(title="original against converted model", title_justify="left")
    table.add_column("inputs", overflow="fold")
    for column in ("count", "largest difference", "largest output", "relative"):
        table.add_column(column, justify="right")
    for agreement in agreements:
        difference = agreement.difference
        table.add_row(
            agreement.inputs,
            str(agreement.count),
            f"{difference.largest:.1e}",
            f"{difference.scale:.3g}",
            f"{difference.relative:.1e}",
        )
    return table


def layer_errors(
    model: nn.Module, conversion: Conversion, x: Tensor
) -> dict[str, float]:
    """Measure every converted layer on the inputs that its original sees.

    Args:
        model: The original.
        conversion: What became of it.
        x: Input of the model.

    Returns:
        The largest absolute error of each layer over its largest absolute input, by
        name; in float64, so that it can be held against the worst case.
    """
    original, converted = (
        copy.deepcopy(network).double() for network in (model, conversion.model)
    )
    errors: dict[str, float] = {}

    def measure(name: str, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        gap = (converted.get_submodule(name)(*inputs) - output).abs().max()
        largest = max(float(value.abs().max()) for value in inputs)
        errors[name] = max(errors.get(name, 0.0), float(gap) / (largest or 1.0))

    for layer in conversion.converted:
        original.get_submodule(layer.name).register_forward_hook(
            lambda _, inputs, output, name=layer.name: measure(name, inputs, output)
        )
    with torch.no_grad():
        original(x.double())
    return errors


def _is_finite(output: object) -> bool:
    return not isinstance(output, Tensor) or bool(output.isfinite().all())


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
