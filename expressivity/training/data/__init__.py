"""Labelled images: bundled with libraries, or files of yours, checked before use."""

from expressivity.training.data.cifar10 import read_cifar10
from expressivity.training.data.digits import load_digits
from expressivity.training.data.folders import read_folders
from expressivity.training.data.images import Dataset, Images
from expressivity.training.data.mnist import load_mnist

__all__ = [
    "Dataset",
    "Images",
    "load_digits",
    "load_mnist",
    "read_cifar10",
    "read_folders",
]
