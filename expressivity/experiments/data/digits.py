"""Scikit-learn's 1,797 handwritten digits of 8×8 pixels: nothing to download."""

from expressivity.digits import load_digit_images
from expressivity.experiments.data.images import Dataset, Images

_BRIGHTEST = 16


def load_digits(*, seed: int = 0) -> Dataset:
    """Load the digits.

    Args:
        seed: Decides which quarter of them are for testing.

    Returns:
        1,348 images for training, 449 for testing, in 17 shades of grey.

    Raises:
        MissingDependencyError: If scikit-learn is not installed.

    Example:
        >>> digits = load_digits()
        >>> len(digits.train), len(digits.test), digits.size
        (1348, 449, (8, 8))
    """
    images = load_digit_images(seed=seed)
    train, test = (
        Images((pixels * _BRIGHTEST).round().byte(), labels)
        for pixels, labels in (
            (images.train_images, images.train_labels),
            (images.test_images, images.test_labels),
        )
    )
    return Dataset("digits", train, test, tuple("0123456789"), _BRIGHTEST)
