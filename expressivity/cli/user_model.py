"""Build a user's model from ``package.module:callable``."""

import importlib
import re
import sys
from contextlib import chdir
from pathlib import Path
from typing import Any

from torch import nn

from expressivity.cli.process import may_be_handled
from expressivity.cli.weights import load_weights
from expressivity.errors import ArgumentError

_FACTORY = re.compile(r"(?P<module>\w+(\.\w+)*):(?P<name>\w+(\.\w+)*)")


def build_model(factory: str, weights: Path | None = None) -> nn.Module:
    """Import a callable, call it without arguments, and load weights.

    Args:
        factory: ``package.module:callable``; modules in the current directory are
            found too. The callable may be a class.
        weights: A file of weights; by default the model keeps its own.

    Returns:
        The model it returns, in evaluation mode.

    Raises:
        ArgumentError: If there is no such callable, it fails, or it returns
            something else than an ``nn.Module``.
        FileError: If the weights cannot be loaded.

    Example:
        >>> build_model("torch.nn:Identity")
        Identity()
    """
    parts = _FACTORY.fullmatch(factory)
    if parts is None:
        raise ArgumentError(
            f"FACTORY needs the form package.module:callable, got {factory!r}"
        )
    try:
        folder = str(Path.cwd())
    except OSError as error:
        raise ArgumentError(
            "the current folder needs to exist, as FACTORY is looked for there, but "
            "was removed: change to another"
        ) from error
    if folder not in sys.path:
        sys.path.insert(0, folder)
    # The code is the user's: whatever it raises, sys.exit() included, is reported as
    # its failure. It may change the current folder, for itself alone.
    try:
        with chdir(folder):
            make: Any = importlib.import_module(parts["module"])
            for attribute in parts["name"].split("."):
                make = getattr(make, attribute)
            model = make()
    except BaseException as error:
        if not may_be_handled(error):
            raise
        raise ArgumentError(
            f"FACTORY {factory!r} needs to be importable (from {folder}, or installed) "
            f"and to run without arguments: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(model, nn.Module):
        raise ArgumentError(
            f"FACTORY {factory!r} needs to return an nn.Module, got a "
            f"{type(model).__name__}"
        )
    if weights is not None:
        load_weights(model, weights)
    return model.eval()
