"""Do two squares look the same? A question that no sum over small windows answers.

On grey images of 8×10 pixels stand two squares of 2×2 pixels, each dark or bright, one
near the left border and one near the right, five columns apart or more. The label says
whether they are of one kind.

Take any network whose logit is a sum over windows, such as convolutions followed by a
mean, where no window meets both squares. For squares at given places the logit is then
f(a) + g(b) for kinds a and b. Its mean over equal pairs of kinds is its mean over
different ones. The logarithmic loss is convex: its mean over the four pairs is at
least log 2, which is that of guessing. Accuracy has no such bound: three of the four
pairs may by luck be on the right side of zero.
"""

import itertools

import torch

from expressivity.experiments.data.images import Dataset, Images

SIZE = (8, 10)
# No window of so many pixels meets both squares.
WIDEST_WINDOW = 5
_SQUARE = 2
_LEFT, _RIGHT = (0, 1), (7, 8)
_DARK, _GREY, _BRIGHT = 0, 1, 2


def same_different(*, tests: int = 196, seed: int = 0) -> Dataset:
    """Draw all images there are, and split them.

    Every arrangement of the two squares occurs with all four pairs of kinds, and all
    four are in the same part.

    Args:
        tests: Number of images for testing, a multiple of four.
        seed: Decides which.

    Returns:
        784 images in all, as many of each label in both parts.

    Example:
        >>> data = same_different()
        >>> len(data.train), len(data.test), data.size
        (588, 196, (8, 10))
    """
    rows = range(SIZE[0] - _SQUARE + 1)
    places = list(itertools.product(rows, _LEFT, rows, _RIGHT))
    kinds = list(itertools.product((_DARK, _BRIGHT), repeat=2))
    pixels = torch.full(
        (len(places), len(kinds), 1, *SIZE), _GREY, dtype=torch.uint8, device="cpu"
    )
    for place, (row, column, other_row, other_column) in enumerate(places):
        for pair, (kind, other) in enumerate(kinds):
            image = pixels[place, pair, 0]
            image[row : row + _SQUARE, column : column + _SQUARE] = kind
            image[
                other_row : other_row + _SQUARE, other_column : other_column + _SQUARE
            ] = other
    same = torch.tensor([kind == other for kind, other in kinds], device="cpu")
    labels = same.long().expand(len(places), -1)
    generator = torch.Generator("cpu").manual_seed(seed)
    order = torch.randperm(len(places), generator=generator, device="cpu")
    cut = tests // len(kinds)
    test, train = (
        Images(pixels[part].flatten(0, 1), labels[part].flatten())
        for part in (order[:cut], order[cut:])
    )
    return Dataset("same-different", train, test, ("different", "same"), _BRIGHT)
