"""The statements and their derivations as a document that reads like lecture notes."""

from collections.abc import Callable, Sequence

from proofs.document.html import to_html
from proofs.document.latex import to_latex
from proofs.document.markdown import write_markdown
from proofs.document.myst import to_myst
from proofs.engine import Outcome

__all__ = ["FORMATS", "write"]

_CONVERTERS: dict[str, Callable[[str], str]] = {
    "markdown": str,
    "latex": to_latex,
    "html": to_html,
    "myst": to_myst,
}
FORMATS = tuple(_CONVERTERS)


def write(outcomes: Sequence[Outcome], style: str) -> str:
    """Write a document.

    Args:
        outcomes: Statements, and what became of them.
        style: One of ``FORMATS``.

    Returns:
        The text of one file.
    """
    return _CONVERTERS[style](write_markdown(outcomes))
