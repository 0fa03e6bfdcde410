"""Convert a user's model with the options of the command line."""

from typing import TypedDict, cast

import torch
from torch import Tensor, nn

from expressivity.cli.arguments import Certify, Convert
from expressivity.cli.console import messages
from expressivity.conversion.network import Conversion
from expressivity.conversion.network.convert import convert_each
from expressivity.conversion.options import Options
from expressivity.errors import UnsupportedModuleError
from expressivity.geometry.convolution import Convolution
from expressivity.heads.leak import saturation_alpha


class ConversionOptions(TypedDict):
    """Options of :func:`expressivity.convert`."""

    alpha: float | None
    tolerance: float | None
    head_dim: int | None
    where: list[str] | None
    strategy: str


def conversion_options(arguments: Convert | Certify) -> ConversionOptions:
    """Take the options of a conversion from the command line.

    Args:
        arguments: What the user wants.

    Returns:
        The options.

    Raises:
        ArgumentError: If one is out of range, or two exclude each other.
        StrategyError: If there is no such strategy.
    """
    alpha, tolerance = arguments.alpha, arguments.tolerance
    head_dim, strategy = arguments.head_dim, arguments.strategy
    Options(alpha, tolerance, head_dim=head_dim, strategy=strategy)
    return {
        "alpha": alpha,
        "tolerance": tolerance,
        "head_dim": head_dim,
        "where": arguments.where or None,
        "strategy": strategy,
    }


def dtype_of_model(model: nn.Module) -> torch.dtype:
    """Return the dtype of the first floating-point parameter of a model."""
    for parameter in model.parameters():
        if parameter.is_floating_point():
            return parameter.dtype
    return torch.get_default_dtype()


def converted(
    model: nn.Module, options: ConversionOptions, inputs: Tensor | None = None
) -> Conversion:
    """Convert a user's model.

    Args:
        model: The original.
        options: How.
        inputs: A batch to run the converted model on, if its shape is known.

    Returns:
        The conversion, of one convolution at least.

    Raises:
        UnsupportedModuleError: If no convolution can be converted.
    """
    with messages().status("converting"):
        how = Options(
            options["alpha"],
            options["tolerance"],
            head_dim=options["head_dim"],
            strategy=options["strategy"],
        )
        conversion = convert_each(model, options["where"], how, inputs)
    if not conversion.converted:
        reasons = "; ".join(
            f"{layer.name}: {layer.reason}" for layer in conversion.kept
        )
        raise UnsupportedModuleError(
            "the model needs at least one convolution that can be converted, got "
            f"{reasons or 'none at all (calls of torch.nn.functional do not count)'}"
        )
    return conversion


def remarks_on_evaluation(
    model: nn.Module, conversion: Conversion, strategy: str
) -> list[str]:
    """Say how many converted layers run as plain convolutions.

    Args:
        model: The original.
        conversion: Its conversion.
        strategy: The strategy of its layers.

    Returns:
        One remark, or none if every layer computes attention.
    """
    if strategy not in ("auto", "separable"):
        return []
    one_hot = 0
    for layer in conversion.converted:
        conv = cast("Convolution", model.get_submodule(layer.name))
        strongest = saturation_alpha(conv.weight.dtype, len(conv.kernel_size))
        one_hot += layer.alpha is not None and layer.alpha >= strongest
    if not one_hot:
        return []
    remark = (
        f"{one_hot} of {len(conversion.converted)} converted layers run as "
        "convolutions, since their heads are one-hot up to rounding. For them a "
        "convolution is compared with itself. --strategy dense lets every query attend "
        "to every key"
    )
    return [remark]
