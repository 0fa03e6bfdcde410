r"""The document for Sphinx: MyST targets for anchors, and a directive for alerts."""

import re

from proofs.document.parsing import ALERT

TARGET = "statement-"
"""What the names of targets begin with: a site has other things of the same name."""

_HEADING = re.compile(r'^(?P<level>##) <a id="(?P<name>\w+)"></a>(?P<text>.*)$', re.M)
_ALERT = re.compile(rf"^> {re.escape(ALERT)}\n> (?P<text>.*)$", re.M)


def to_myst(markdown: str) -> str:
    r"""Turn the document into MyST.

    Args:
        markdown: The document, as written here.

    Returns:
        MyST with formulas between dollars, for Sphinx with ``dollarmath``.

    Example:
        >>> print(to_myst('See [it](#leak).\n\n## <a id="leak"></a>1. The leak'))
        See [it](#statement-leak).
        <BLANKLINE>
        (statement-leak)=
        ## 1. The leak
    """
    text = re.sub(r"\]\(#(\w+)\)", rf"](#{TARGET}\1)", markdown)
    text = _HEADING.sub(rf"({TARGET}\g<name>)=\n\g<level> \g<text>", text)
    return _ALERT.sub(r":::{caution}\n\g<text>\n:::", text)
