"""The demonstration's data and network: what they are, and that they learn."""

import sys
from collections.abc import Iterable

import pytest
import torch
from torch import nn

from expressivity.digits import DigitsCNN, accuracy, load_digit_images, train
from expressivity.errors import ArgumentError, MissingDependencyError


def test_images_are_all_there_once() -> None:
    images = load_digit_images()
    parts = [images.train_images, images.test_images]
    assert [len(part) for part in parts] == [1348, 449]
    pixels = torch.cat(parts)
    assert pixels.dtype == torch.float32
    assert (pixels.min(), pixels.max()) == (0, 1)
    labels = torch.cat([images.train_labels, images.test_labels])
    assert set(labels.tolist()) == set(range(10))
    from sklearn.datasets import load_digits

    wanted = torch.from_numpy(load_digits().data).float() / 16
    found = pixels.flatten(1)
    assert sorted(found.tolist()) == sorted(wanted.tolist())


def test_split_depends_on_the_seed_only() -> None:
    first, again, other = (load_digit_images(seed=seed) for seed in (3, 3, 4))
    assert torch.equal(first.test_images, again.test_images)
    assert torch.equal(first.test_labels, again.test_labels)
    assert not torch.equal(first.test_images, other.test_images)


@pytest.mark.parametrize("fraction", [0, 1, -0.5, 1.5, 1e-6])
def test_split_that_leaves_a_part_empty(fraction: float) -> None:
    with pytest.raises(ArgumentError, match="between 0 and 1"):
        load_digit_images(test_fraction=fraction)


def test_without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(MissingDependencyError, match=r"pip install scikit-learn"):
        load_digit_images()


def test_network_has_every_kind_of_convolution() -> None:
    model = DigitsCNN()
    convs = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    assert [conv.kernel_size for conv in convs] == [(3, 3), (3, 3), (1, 1), (3, 3)]
    depthwise = convs[1]
    assert depthwise.stride == (2, 2)
    assert depthwise.groups == depthwise.in_channels == 16
    assert model(torch.zeros(5, 1, 8, 8)).shape == (5, 10)
    assert sum(p.numel() for p in model.parameters()) == 11_482


def test_training_reads_digits() -> None:
    images, model = load_digit_images(), DigitsCNN()
    losses = train(model, images)
    assert not model.training
    assert len(losses) == 20
    assert losses[-1] < 0.01 < losses[0]
    assert accuracy(model, images.test_images, images.test_labels) >= 0.97


def test_training_is_reproducible_and_leaves_the_random_state_alone() -> None:
    images, state = load_digit_images(test_fraction=0.8), torch.get_rng_state()

    def trained(model_seed: int, seed: int) -> list[float]:
        return train(DigitsCNN(seed=model_seed), images, epochs=2, seed=seed)

    losses = trained(1, 2)
    assert trained(1, 2) == pytest.approx(losses, rel=1e-3)
    assert trained(1, 3) != pytest.approx(losses, rel=1e-3)
    assert trained(0, 2) != pytest.approx(losses, rel=1e-3)
    assert torch.equal(torch.get_rng_state(), state)


def test_progress_sees_every_epoch() -> None:
    seen = []

    def watch(epochs: Iterable[int]) -> Iterable[int]:
        for epoch in epochs:
            seen.append(epoch)
            yield epoch

    train(DigitsCNN(), load_digit_images(test_fraction=0.9), epochs=2, progress=watch)
    assert seen == [0, 1]


def test_no_epochs() -> None:
    with pytest.raises(ArgumentError, match="epochs needs to be at least 1"):
        train(DigitsCNN(), load_digit_images(), epochs=0)


def test_accuracy_counts_hits() -> None:
    logits = torch.eye(10)[torch.tensor([3, 1, 4, 1])].reshape(4, 1, 1, 10)
    labels = torch.tensor([3, 1, 4, 0])
    assert accuracy(nn.Flatten(), logits, labels) == 0.75
