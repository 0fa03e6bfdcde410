"""Labelled images: bundled with libraries, or files of yours, checked before use."""

from expressivity.experiments.data.cifar10 import read_cifar10
from expressivity.experiments.data.digits import load_digits
from expressivity.experiments.data.folders import read_folders
from expressivity.experiments.data.images import Dataset, Images
from expressivity.experiments.data.mnist import load_mnist

__all__ = [
    "Dataset",
    "Images",
    "load_digits",
    "load_mnist",
    "read_cifar10",
    "read_folders",
]
