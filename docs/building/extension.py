"""What Sphinx is taught: formulas as MathML, statements in docstrings, our names."""

import inspect
import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.nodes import make_refnode
from torch import nn

from proofs.catalogue import NAMES
from proofs.document.mathml import mathml
from proofs.document.myst import TARGET

_LITERAL = re.compile(r"(``.*?``|`[^`]*`)")
_STATEMENT = re.compile(rf"``({'|'.join(NAMES)})``")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register everything.

    Args:
        app: The application.

    Returns:
        That pages may be read and written side by side.
    """
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    # Before napoleon, which writes markup of its own.
    app.connect("autodoc-process-docstring", _prepare, priority=400)
    app.connect("missing-reference", _find)
    app.connect("autodoc-process-bases", _name_bases)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _inline(self: Any, node: nodes.math) -> None:
    self.body.append(mathml(node.astext(), display=False))
    raise nodes.SkipNode


def _block(self: Any, node: nodes.math_block) -> None:
    # A formula that is too wide scrolls by itself, also from the keyboard.
    self.body.append('<div class="math-block" tabindex="0">')
    self.body.append(mathml(node.astext(), display=True))
    self.body.append("</div>\n")
    raise nodes.SkipNode


def _prepare(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Protect bars and stars; let the statements that a docstring names be links."""
    in_example = False
    for number, line in enumerate(lines):
        in_example = ">>> " in line or (in_example and bool(line.strip()))
        if in_example:
            continue
        pieces = _LITERAL.split(line)
        pieces[::2] = [re.sub(r"([|*])", r"\\\1", piece) for piece in pieces[::2]]
        lines[number] = _STATEMENT.sub(rf":ref:`\1 <{TARGET}\1>`", "".join(pieces))


def _find(app: Sphinx, env: Any, node: Any, content: nodes.Element) -> Any:
    """Resolve names of the package that are documented under their public name."""
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"].removeprefix("~")
    found = env.get_domain("py").objects
    last = target.rpartition(".")[2]
    matching = [name for name in found if name.rpartition(".")[2] == last]
    exact = f"expressivity.{last}"
    name = exact if exact in matching else matching[0] if len(matching) == 1 else None
    if name is None or not (target.startswith("expressivity") or "." not in target):
        return None
    entry = found[name]
    return make_refnode(
        app.builder, node["refdoc"], entry.docname, entry.node_id, content, name
    )


def _name_bases(
    app: Sphinx, name: str, obj: object, options: object, bases: list[Any]
) -> None:
    """Show the bases that a reader can look up."""
    if inspect.isclass(obj) and issubclass(obj, nn.Module):
        bases[:] = [nn.Module]
