"""Make a page for a layer and an image."""

from collections.abc import Sequence

from torch import Tensor, nn

from expressivity.checks import Progress, check_progress, shown
from expressivity.errors import ArgumentError
from expressivity.explorer.page import Page
from expressivity.explorer.quoted import Settings
from expressivity.explorer.samples import samples
from expressivity.explorer.scene import Scene
from expressivity.explorer.subject import Subject
from expressivity.explorer.witnesses import STATEMENTS


def explore(
    conv: nn.Module,
    x: Tensor,
    *,
    name: str = "layer",
    alpha: float | None = None,
    tolerance: float | None = None,
    strategy: str = "auto",
    families: Sequence[str] = tuple(STATEMENTS),
    progress: Progress | None = None,
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
        alpha: Locality strength that the page starts at, 1/pixel², between 0.1 and 24;
            by default 2. A certificate is computed there, too.
        tolerance: Instead of ``alpha``: the largest absolute error allowed for any
            input with ‖x‖_∞ ≤ 1; the page starts at the α that it needs.
        strategy: How the layer that is certified is evaluated: ``"auto"`` or a name.
        families: Families of the atlas whose limits to show; attacking one takes two
            seconds, once a process.
        progress: Wraps an iterable, as ``tqdm`` does; by default nothing.

    Returns:
        The page: ``.save("page.html")``, or the last line of a notebook's cell.

    Raises:
        ArgumentError: If the name is no text, ``alpha`` or the α that the tolerance
            needs is not between 0.1 and 24, both are given, a family is not one of
            ``STATEMENTS``, or ``progress`` cannot be called.
        InputError: If the image does not suit the convolution, is more than one, or
            holds numbers that are not finite.
        StrategyError: If there is no such strategy, or it does not take the layer.
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
    progress = check_progress(progress)
    settings = Settings(alpha=alpha, tolerance=tolerance, strategy=strategy)
    subject = Subject.of(name, name, conv, x)
    return Page(Scene.of([subject], progress, families, settings))


def explore_samples(
    progress: Progress = iter, settings: Settings | None = None
) -> Page:
    """Make a page for known kernels on a photograph, and a trained layer.

    Args:
        progress: Wraps an iterable, as ``tqdm`` does; by default nothing.
        settings: Where the page starts, for the first layer, and how layers are
            evaluated.

    Returns:
        The page.

    Raises:
        ArgumentError: If a tolerance needs an α that no page has.
        MissingDependencyError: If scikit-learn is not installed.
        StrategyError: If the strategy does not take a layer.
    """
    return Page(Scene.of(samples(), progress, settings=settings or Settings()))
