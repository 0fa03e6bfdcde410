"""The atlas as one HTML page that needs no other file."""

import io
from collections.abc import Sequence
from html import escape
from string import Template

from expressivity.atlas.evidence import Evidence
from expressivity.plots import plot_evidence

_PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>What attention can express: an atlas</title>
<style>
body { font: 1rem/1.55 Georgia, serif; color: #111; background: #fff;
  max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 3rem; border-top: 1px solid #999;
  padding-top: 1rem; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem .35rem 0;
  border-bottom: 1px solid #ccc; }
.verdict { font-weight: bold; } .source { color: #444; }
.wide { overflow-x: auto; }
.wide svg { height: auto; max-width: 100%; min-width: 20rem; }
li { margin: .2rem 0; } @media print { h2 { break-before: page; } }
</style></head><body>
<h1>What attention can express: an atlas</h1>
<p>Can one layer of a family compute an arbitrary convolution? <em>Yes</em> comes with
weights and their error. <em>No</em> comes with a witness: inputs that the layer treats
alike, whatever its parameters are, so that every setting errs by at least the bound.
An attack optimises the parameters and stays above the bound. The control is the same
attack with the missing condition restored. The error of weights is relative to the
largest output. Bounds, attacks and controls are absolute, on the inputs of the
witness.</p>
<div class="wide"><table>
<tr><th>family</th><th>verdict</th><th>heads</th><th>measured</th><th>source</th></tr>
$rows
</table></div>
$sections
</body></html>
""")


def page(gathered: Sequence[Evidence]) -> str:
    """Write the page.

    Args:
        gathered: The evidence for every family, gathered with ``curve=True``.

    Returns:
        HTML.
    """
    return _PAGE.substitute(
        rows="\n".join(map(_row, gathered)), sections="\n".join(map(_section, gathered))
    )


def weights_in_words(evidence: Evidence) -> list[str]:
    """Describe the error of constructed weights.

    Args:
        evidence: Gathered with ``curve=True``, of a family with weights.

    Returns:
        One line for each strength, or a single one where the family has none.
    """
    weights, strength = evidence.weights, evidence.family.strength
    if weights is None:
        return []
    if strength is None:
        return [f"error {weights.error:.1e}, with no strength to choose"]
    return [
        f"error {error:.1e} at {strength.symbol} = {value:.3g}"
        for value, error in weights.curve
    ]


def _row(evidence: Evidence) -> str:
    family = evidence.family
    cells = (
        f'<a href="#{escape(family.name)}">{escape(family.title)}</a>',
        f'<span class="verdict">{escape(family.verdict)}</span>',
        escape(family.heads),
        "<br>".join(evidence.figures()),
        f'<span class="source">{escape(family.source)}</span>',
    )
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _section(evidence: Evidence) -> str:
    family, weights, attack = evidence.family, evidence.weights, evidence.attack
    parts = [
        f'<h2 id="{escape(family.name)}">{escape(family.title)}: {family.verdict}</h2>',
        f"<p>{escape(family.claim.statement)}</p>",
        _items(family.conditions, "Conditions"),
        f'<p class="source">{escape(family.source)}</p>',
    ]
    if weights is not None:
        parts.append(
            f"<p>Weights for <code>{escape(str(weights.sample.conv))}</code>: relative "
            f"{weights_in_words(evidence)[-1]}.</p>"
        )
    if attack is not None:
        restored = (
            f"; with the condition restored it comes to {attack.control[-1]:.3g}"
            if attack.control
            else ""
        )
        parts.append(
            f"<p>Witness ({escape(attack.witness.kind)}) against "
            f"<code>{escape(str(attack.sample.conv))}</code>. "
            f"{escape(attack.witness.symmetry)} On these inputs, within "
            f"±{attack.witness.input_bound:.3g}, no setting errs less than "
            f"{attack.bound:.3g}, absolute; an attack comes to {attack.reached[-1]:.3g}"
            f"{restored}.</p>"
        )
    parts.append(_items(evidence.remarks, "Remarks"))
    parts.append(f'<div class="wide">{_drawing(evidence)}</div>')
    return "\n".join(part for part in parts if part)


def _items(lines: Sequence[str], title: str) -> str:
    if not lines:
        return ""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<p>{title}:</p><ul>{items}</ul>"


def _drawing(evidence: Evidence) -> str:
    """Return the figure as a picture inside the page."""
    buffer = io.StringIO()
    plot_evidence(evidence).savefig(buffer, format="svg")
    text = buffer.getvalue()
    return text[text.index("<svg") :]
