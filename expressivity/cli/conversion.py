"""Convert a user's model as the command line asks for it."""

from dataclasses import asdict, dataclass
from typing import cast

import torch
from torch import Tensor, nn

from expressivity.cli.console import messages
from expressivity.conversion.network import Conversion
from expressivity.conversion.network import convert as convert_model
from expressivity.errors import UnsupportedModuleError
from expressivity.geometry.convolution import Convolution
from expressivity.heads.leak import saturation_alpha


@dataclass(frozen=True)
class ConversionOptions:
    """The options of :func:`expressivity.convert`.

    Attributes:
        alpha: Locality strength of all heads, 1/pixel².
        tolerance: Largest absolute error of a layer for inputs within ±1.
        head_dim: Dimension of a head's values.
        where: Names or patterns of the layers to convert.
        strategy: How the attention is evaluated.
    """

    alpha: float | None
    tolerance: float | None
    head_dim: int | None
    where: list[str] | None
    strategy: str

    def structural(self) -> list[tuple[str, object]]:
        """Return the options that decide more than values of parameters.

        Returns:
            Names and values of those that differ from the default.
        """
        kept = {"head_dim": None, "where": None, "strategy": "auto"}
        given = asdict(self)
        return [(key, given[key]) for key in kept if given[key] != kept[key]]


def dtype_of_model(model: nn.Module) -> torch.dtype:
    """Return the dtype that a model computes in, so far as it shows.

    Args:
        model: Any network.

    Returns:
        That of its first floating parameter.
    """
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
        inputs: What the converted model is run on once, if it is known.

    Returns:
        The conversion, of one convolution at least.

    Raises:
        UnsupportedModuleError: If no convolution can be converted.
    """
    with messages().status("converting"):
        conversion = convert_model(model, **asdict(options), inputs=inputs)
    if not conversion.converted:
        reasons = "; ".join(
            f"{layer.name}: {layer.reason}" for layer in conversion.kept
        )
        raise UnsupportedModuleError(
            "the model needs at least one convolution that can be converted, got "
            f"{reasons or 'none at all (calls of torch.nn.functional are not seen)'}"
        )
    return conversion


def remarks_on_evaluation(
    model: nn.Module, conversion: Conversion, strategy: str
) -> list[str]:
    """Say where a comparison with the original is one of convolutions.

    Args:
        model: The original.
        conversion: What became of it.
        strategy: How the attention is evaluated.

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
        "convolutions, since their heads are one-hot up to rounding: there the "
        "comparison is one of convolutions. --strategy dense lets every query attend "
        "to every key"
    )
    return [remark]
