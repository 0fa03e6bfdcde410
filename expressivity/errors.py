"""Every error that this package raises on purpose.

A message says what was required, what came, and what to do. Each class also derives
from the built-in error that a caller would expect.

Example:
    >>> try:
    ...     raise ArgumentError("alpha needs a positive finite number, got -1.0")
    ... except ValueError as error:
    ...     print(error)
    alpha needs a positive finite number, got -1.0
"""


class ExpressivityError(Exception):
    """Base of all errors below: catch this one to catch them all."""


class ArgumentError(ExpressivityError, ValueError):
    """An option is outside its range: α, tolerance, head_dim, padding."""


class InputError(ExpressivityError, ValueError):
    """A tensor does not fit the layer it is given to: axes, channels, size."""


class UnsupportedModuleError(ExpressivityError, TypeError):
    """A module is no convolution, or not one that attention can reproduce."""


class StrategyError(ExpressivityError, RuntimeError):
    """The requested way of evaluating the attention cannot run here."""


class NotOneHotError(ExpressivityError, ValueError):
    """An attention layer is too soft to be read back as a convolution."""


class ConvolutionAttributeError(ExpressivityError, AttributeError):
    """An attention layer has no such attribute of a convolution, or it cannot be set.

    It is an ``AttributeError``, so that ``hasattr`` and ``getattr`` with a default
    answer as they do for any module.
    """


class CertificateError(ExpressivityError, ValueError):
    """A certificate is impossible here, or does not hold for a layer or an input."""


class FileError(ExpressivityError, OSError):
    """A file is missing, damaged, of the wrong kind, or cannot be written."""


class MissingDependencyError(ExpressivityError, ImportError):
    """An optional part of the package needs a library that is not installed."""
