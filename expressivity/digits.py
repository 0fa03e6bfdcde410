"""The demonstration: handwritten digits, and a small network that classifies them.

1,797 images of 8×8 pixels come with scikit-learn: real data, nothing to download.
The network has the four usual kinds of convolution: padded, strided, depthwise and 1×1.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from expressivity.errors import ArgumentError, MissingDependencyError

_BRIGHTEST = 16.0
_BATCH = 32
_PEAK_LEARNING_RATE = 0.01


@dataclass(frozen=True)
class DigitImages:
    """Images of handwritten digits, split once.

    Attributes:
        train_images: (images, 1, 8, 8), float32 in [0, 1].
        train_labels: The digit of each, (images,).
        test_images: As ``train_images``.
        test_labels: As ``train_labels``.
    """

    train_images: Float[Tensor, "train 1 8 8"]
    train_labels: Int[Tensor, " train"]
    test_images: Float[Tensor, "test 1 8 8"]
    test_labels: Int[Tensor, " test"]


def load_digit_images(*, test_fraction: float = 0.25, seed: int = 0) -> DigitImages:
    """Load scikit-learn's digits and split them at random.

    Args:
        test_fraction: Share of the images for testing, between 0 and 1.
        seed: Decides which images these are.

    Returns:
        Train and test images; no image is in both.

    Raises:
        ArgumentError: If one of the two parts would be empty.
        MissingDependencyError: If scikit-learn is not installed.

    Example:
        >>> load_digit_images().test_images.shape
        torch.Size([449, 1, 8, 8])
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingDependencyError(
            "the digits come with scikit-learn, which is not installed: "
            "pip install scikit-learn"
        ) from error
    pixels, digits = load_digits(return_X_y=True)
    tests = int(len(digits) * test_fraction)
    if not 0 < tests < len(digits):
        raise ArgumentError(
            "test_fraction needs to be between 0 and 1 and to leave images in both "
            f"parts, got {test_fraction}"
        )
    images = torch.from_numpy(pixels).float().reshape(-1, 1, 8, 8) / _BRIGHTEST
    labels = torch.from_numpy(digits).long()
    order = torch.randperm(len(labels), generator=_generator(seed), device="cpu")
    test, train = order[:tests], order[tests:]
    return DigitImages(images[train], labels[train], images[test], labels[test])


class DigitsCNN(nn.Module):
    """A network of 11,482 weights with four kinds of convolution.

    Attributes:
        features: (images, 1, 8, 8) to (images, 32, 4, 4).
        classifier: To the logits, (images, 10).
    """

    def __init__(self, *, seed: int = 0) -> None:
        """Create the network with random weights.

        Args:
            seed: Decides the weights; the global random state is left alone.
        """
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.features = nn.Sequential(
                nn.Conv2d(1, 16, 3, padding=1),
                nn.BatchNorm2d(16),
                nn.ReLU(),
                nn.Conv2d(16, 16, 3, stride=2, padding=1, groups=16, bias=False),
                nn.BatchNorm2d(16),
                nn.ReLU(),
                nn.Conv2d(16, 32, 1, bias=False),
                nn.BatchNorm2d(32),
                nn.ReLU(),
                nn.Conv2d(32, 32, 3, padding=1),
                nn.ReLU(),
            )
            self.classifier = nn.Sequential(
                nn.AvgPool2d(2), nn.Flatten(), nn.Linear(32 * 2 * 2, 10)
            )

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of (images, 1, 8, 8), which are (images, 10)."""
        logits: Tensor = self.classifier(self.features(images))
        return logits


def train(
    model: nn.Module,
    images: DigitImages,
    *,
    epochs: int = 20,
    seed: int = 0,
    progress: Callable[[Iterable[int]], Iterable[int]] | None = None,
) -> list[float]:
    """Train a network in place: Adam, one cycle of the learning rate.

    Args:
        model: Takes images, returns logits; left in evaluation mode.
        images: The data; only the training part is used.
        epochs: Passes over it.
        seed: Decides the order of the images; the global random state is left alone.
        progress: Wraps the iterable of epochs, as ``tqdm`` does; by default nothing.

    Returns:
        The mean cross-entropy of every epoch.

    Raises:
        ArgumentError: If ``epochs`` is below 1.
    """
    if epochs < 1:
        raise ArgumentError(f"epochs needs to be at least 1, got {epochs}")
    count, generator = len(images.train_labels), _generator(seed)
    optimizer = torch.optim.Adam(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=_PEAK_LEARNING_RATE,
        total_steps=epochs * -(-count // _BATCH),
    )
    model.train()
    losses = []
    for _ in range(epochs) if progress is None else progress(range(epochs)):
        total = 0.0
        for batch in torch.randperm(count, generator=generator, device="cpu").split(
            _BATCH
        ):
            logits = model(images.train_images[batch])
            loss = nn.functional.cross_entropy(logits, images.train_labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += float(loss.detach()) * len(batch)
        losses.append(total / count)
    model.eval()
    return losses


def accuracy(
    model: nn.Module,
    images: Float[Tensor, "images 1 height width"],
    labels: Int[Tensor, " images"],
) -> float:
    """Return the share of images that the model classifies correctly.

    Args:
        model: Takes images, returns logits; runs in the mode it is in.
        images: The images.
        labels: Their digits.

    Returns:
        Between 0 and 1.
    """
    with torch.no_grad():
        hits: Tensor = model(images).argmax(1) == labels
    return float(hits.double().mean())


def _generator(seed: int) -> torch.Generator:
    return torch.Generator("cpu").manual_seed(seed)
