"""What ``Module.to``, ``half`` and the like do to the parameters of a layer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from expressivity.numbers.precision import compute_dtype


@dataclass(frozen=True)
class Move:
    """A function of tensors, applied to each parameter as its role demands.

    Positions stay in float32 at least. Memory formats mean what they mean for the
    weight of the convolution, and nothing for tables.

    Attributes:
        function: What torch applies to every parameter and every gradient.
        positions: α, Δ, tables and gates.
        weights: Projections, (groups, rows, columns, heads).
        axes: Axes of the images.
    """

    function: Callable[[Tensor], Tensor]
    positions: Sequence[nn.Parameter]
    weights: Sequence[nn.Parameter]
    axes: int

    def __call__(self, tensor: Tensor) -> Tensor:
        """Return a parameter, or a gradient of one, after the function."""
        if _is_among(tensor, self.weights):
            return self._moved(tensor)
        if not _is_among(tensor, self.positions):
            return self.function(tensor)
        flat = tensor.detach().flatten(1) if tensor.dim() > 1 else tensor
        result = self.function(flat)
        dtype = compute_dtype(result.dtype)
        if result.dtype != dtype:
            result = flat.to(result.device, dtype)
        return tensor if result is flat else result.reshape(tensor.shape)

    def _moved(self, weight: Tensor) -> Tensor:
        """Return a projection after the function saw it as a kernel."""
        ones = (1,) * (self.axes - 1)
        kernel = weight.detach().flatten(0, 1).unflatten(-1, (-1, *ones))
        result = self.function(kernel)
        if result is kernel:
            return weight
        return result.flatten(2).view(weight.shape)


def _is_among(tensor: Tensor, parameters: Sequence[nn.Parameter]) -> bool:
    """Whether a tensor is one of some parameters, or the gradient of one."""
    return any(tensor is p or tensor is p.grad for p in parameters)
