"""What a page shows without a model: four kernels on a photograph, a trained layer."""

from importlib import import_module

import torch
from jaxtyping import Float
from torch import Tensor, nn

from expressivity.convolutions import build_convolution
from expressivity.errors import MissingDependencyError
from expressivity.explorer.subject import Subject
from expressivity.machine.threads import one_thread

_PIXELS = 24
_EPOCHS = 6
_KERNELS = {
    "sobel": ("Sobel, vertical edges", [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], 4.0),
    "blur": ("Blur", [[1, 2, 1], [2, 4, 2], [1, 2, 1]], 16.0),
    "sharpen": ("Sharpen", [[0, -1, 0], [-1, 5, -1], [0, -1, 0]], 1.0),
    "laplacian": ("Laplacian", [[0, 1, 0], [1, -4, 1], [0, 1, 0]], 1.0),
}


def samples() -> list[Subject]:
    """Return the layers of a page without a model.

    Returns:
        Four kernels on a photograph, and the first layer of a network that was trained
        on handwritten digits.

    Raises:
        MissingDependencyError: If scikit-learn is not installed.
    """
    image = photograph()
    kernels = [
        Subject.of(name, title, _kernel(rows, scale), image)
        for name, (title, rows, scale) in _KERNELS.items()
    ]
    # Whoever explores a layer of their own loads no demonstration.
    demonstration = import_module("expressivity.digits")
    digits = demonstration.load_digit_images()
    network = demonstration.DigitsCNN()
    with one_thread():
        demonstration.train(network, digits, epochs=_EPOCHS)
    return [
        *kernels,
        Subject.of(
            "digits", "Trained on digits", network.features[0], digits.test_images[0]
        ),
    ]


def photograph() -> Float[Tensor, "1 height width"]:
    """Return a flower that comes with scikit-learn, in grey between −1 and 1.

    Returns:
        24×24 pixels.

    Raises:
        MissingDependencyError: If scikit-learn is not installed.
    """
    try:
        datasets = import_module("sklearn.datasets")
    except ImportError as error:
        raise MissingDependencyError(
            "the photograph comes with scikit-learn, which is not installed: pip "
            "install 'attention-expressivity[demo]', or name a model"
        ) from error
    picture = torch.from_numpy(datasets.load_sample_image("flower.jpg").copy())
    square = picture[:, 106:533].double().mean(-1)
    small = nn.functional.adaptive_avg_pool2d(square[None], _PIXELS)
    low, high = small.min(), small.max()
    # Sixty-fourths, so that a reader can type them.
    return ((2 * (small - low) / (high - low) - 1) * 64).round().float() / 64


def _kernel(rows: list[list[int]], scale: float) -> nn.Module:
    weight = torch.tensor(rows, dtype=torch.float32, device="cpu")[None, None] / scale
    return build_convolution(
        nn.Parameter(weight),
        None,
        stride=(1, 1),
        padding=(1, 1),
        dilation=(1, 1),
        groups=1,
        padding_mode="zeros",
    ).requires_grad_(False)
