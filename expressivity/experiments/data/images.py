"""Images with labels, as a network takes them."""

from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from expressivity.errors import ArgumentError


@dataclass(frozen=True)
class Images:
    """Images of one size, each with the number of its class.

    Attributes:
        pixels: (images, channels, height, width).
        labels: From 0, (images,).
    """

    pixels: UInt8[Tensor, "images channels height width"]
    labels: Int[Tensor, " images"]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Tensor) -> "Images":
        """Return the images of some indices."""
        return Images(self.pixels[index], self.labels[index])

    def to(self, device: torch.device) -> "Images":
        """Return the images on a device."""
        return Images(self.pixels.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Dataset:
    """Images to train on, and others to test with.

    Attributes:
        name: What messages call it.
        train: Images for training.
        test: Images for testing.
        classes: Name of every class, in the order of the labels.
        brightest: The value of a pixel of full brightness.
    """

    name: str
    train: Images
    test: Images
    classes: tuple[str, ...]
    brightest: int = 255

    @property
    def channels(self) -> int:
        """Channels of an image."""
        return self.train.pixels.shape[1]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of an image, in pixels."""
        height, width = self.train.pixels.shape[2:]
        return height, width

    @cached_property
    def digest(self) -> str:
        """A fingerprint of all pixels and labels: sixteen hexadecimal digits."""
        digest = sha256()
        for part in (self.train, self.test):
            digest.update(str(tuple(part.pixels.shape)).encode())
            for tensor in (part.pixels, part.labels):
                digest.update(tensor.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    @cached_property
    def scale(self) -> tuple[Tensor, Tensor]:
        """Mean and spread of every channel of the training images, in brightness.

        A channel that never changes has a spread of one.
        """
        values = self.train.pixels.double() / self.brightest
        spread = values.std((0, 2, 3), correction=0)
        spread[spread == 0] = 1
        return values.mean((0, 2, 3)), spread

    def inputs(
        self, pixels: UInt8[Tensor, "images channels height width"]
    ) -> Float[Tensor, "images channels height width"]:
        """Return pixels as float32, standardised as the training images are.

        Args:
            pixels: From one of the two parts.

        Returns:
            (images, channels, height, width), with mean 0 and spread 1 over the
            training images, channel by channel.

        Example:
            >>> pixels = torch.tensor([0, 4], dtype=torch.uint8).view(1, 1, 1, 2)
            >>> part = Images(pixels, torch.tensor([0]))
            >>> Dataset("two", part, part, ("one",), 4).inputs(pixels).flatten()
            tensor([-1.,  1.])
        """
        mean, spread = (
            part.to(pixels.device, torch.float32)[:, None, None] for part in self.scale
        )
        return (pixels.float() / self.brightest - mean) / spread

    def subset(self, count: int, *, seed: int) -> "Dataset":
        """Return the data with fewer training images, as many of each class.

        Args:
            count: Number of training images.
            seed: Decides which. Of two sizes with one seed, the larger contains the
                smaller.

        Returns:
            Data with the same test images.

        Raises:
            ArgumentError: If there are not so many images.
        """
        if not len(self.classes) <= count <= len(self.train):
            raise ArgumentError(
                f"a subset needs between {len(self.classes)}, one a class, and "
                f"{len(self.train)} training images, got {count}"
            )
        generator = torch.Generator("cpu").manual_seed(seed)
        labels = self.train.labels.cpu()
        order = torch.randperm(len(labels), generator=generator, device="cpu")
        by_class = [order[labels[order] == label] for label in range(len(self.classes))]
        # The first of every class, then the second of every class, and so on.
        rank = torch.cat([torch.arange(len(c), device="cpu") for c in by_class])
        chosen = torch.cat(by_class)[rank.argsort(stable=True)][:count]
        return replace(self, train=self.train[chosen.to(self.train.labels.device)])

    def to(self, device: torch.device) -> "Dataset":
        """Return the data on a device."""
        return replace(self, train=self.train.to(device), test=self.test.to(device))


def split_by_class(
    images: Images, classes: int, *, test_fraction: float, seed: int
) -> tuple[Images, Images]:
    """Split images at random, the same share of every class.

    Args:
        images: The images.
        classes: Number of classes.
        test_fraction: Share of each class for testing, rounded up.
        seed: Decides which images these are.

    Returns:
        Images for training and for testing.
    """
    generator = torch.Generator("cpu").manual_seed(seed)
    train: list[Tensor] = []
    test: list[Tensor] = []
    for label in range(classes):
        (members,) = (images.labels == label).nonzero(as_tuple=True)
        order = torch.randperm(len(members), generator=generator, device="cpu")
        shuffled = members[order]
        tests = -int(-len(members) * test_fraction // 1)
        test.append(shuffled[:tests])
        train.append(shuffled[tests:])
    return images[torch.cat(train)], images[torch.cat(test)]
