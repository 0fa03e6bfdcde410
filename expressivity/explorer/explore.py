"""Make a page for a layer and an image."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from torch import Tensor, nn

from expressivity.checks import check_callable, shown
from expressivity.errors import ArgumentError
from expressivity.explorer.page import Page
from expressivity.explorer.samples import samples
from expressivity.explorer.scene import Scene
from expressivity.explorer.subject import Subject
from expressivity.explorer.witnesses import STATEMENTS

Progress = Callable[[Iterable[Any]], Iterable[Any]]


def explore(
    conv: nn.Module,
    x: Tensor,
    *,
    name: str = "layer",
    families: Sequence[str] = tuple(STATEMENTS),
    progress: Progress = iter,
) -> Page:
    """Make a page in which α moves, for a layer and an image.

    What changes with α is computed in the reader's browser, in float64. Certificates,
    head counts and attacks are computed here, and shown for what they were computed
    for. A layer or an image that is too large for a browser is cut: some outputs, a
    window of the image; the page says so.

    Args:
        conv: A convolution over one or two axes, or a layer that converts to one.
        x: One image, (1, in_channels, *size) or without the batch axis, in the dtype
            of the convolution.
        name: What the page calls the layer.
        families: Families of the atlas whose limits to show; attacking one takes two
            seconds, once a process.
        progress: Wraps an iterable, as ``tqdm`` does; by default nothing.

    Returns:
        The page: ``.save("page.html")``, or the last line of a notebook's cell.

    Raises:
        ArgumentError: If the name is no text, a family is not one of ``STATEMENTS``,
            or ``progress`` cannot be called.
        InputError: If the image does not suit the convolution, is more than one, or
            holds numbers that are not finite.
        UnsupportedModuleError: If ``conv`` is no plain convolution over one or two
            axes.

    Example:
        >>> import torch
        >>> conv, x = torch.nn.Conv2d(1, 1, 3), torch.rand(1, 1, 6, 6)
        >>> page = explore(conv, x, families=["alibi"])
        >>> page.scene.layers[0].heads["rank"]
        1
    """
    if not isinstance(name, str) or not name:
        raise ArgumentError(f"name needs a word, got {shown(name)}")
    check_callable("progress", progress)
    subject = Subject.of(name, name, conv, x)
    return Page(Scene.of([subject], progress, families))


def explore_samples(progress: Progress = iter) -> Page:
    """Make a page for known kernels on a photograph, and a trained layer.

    Args:
        progress: Wraps an iterable, as ``tqdm`` does; by default nothing.

    Returns:
        The page.

    Raises:
        MissingDependencyError: If scikit-learn is not installed.
    """
    return Page(Scene.of(samples(), progress))
