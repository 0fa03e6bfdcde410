"""Pages of the proofs: one for each statement, and one about all of them."""

import re
from collections.abc import Iterator, Mapping

from docs.building.api import objects, toctree
from docs.building.documents import anchor_tag
from proofs.catalogue import NAMES, statement
from proofs.document import write
from proofs.document.myst import TARGET
from proofs.formal import FAMILIES, FUNCTIONS

_SECTION = re.compile(rf"^\({TARGET}(?P<name>\w+)\)=\n## ", re.MULTILINE)


def pages(theorems: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Check every statement and write the pages.

    Args:
        theorems: The address of each Coq theorem, below the root of the site.

    Yields:
        Paths below the root of the site, and MyST.

    Raises:
        RuntimeError: If a step is not proved, or a control not refuted.
    """
    outcomes = [statement(name).check() for name in NAMES]
    failed = [
        outcome.statement.name
        for outcome in outcomes
        if not (outcome.proved and outcome.controlled)
    ]
    if failed:
        raise RuntimeError(f"not everything is proved: {', '.join(failed)}")
    head, *parts = _SECTION.split(write(outcomes, "myst"))
    sections = dict(zip(parts[::2], parts[1::2], strict=True))
    about = "".join(
        f"({TARGET}{name})=\n## {text}"
        for name, text in sections.items()
        if name not in NAMES
    )
    yield "proofs/index.md", f"{head}{about}\n{toctree(NAMES)}\n"
    for name in NAMES:
        text = re.sub(r"^### ", "## ", sections[name], flags=re.MULTILINE)
        used = "\n\n".join(_used(name, theorems))
        yield f"proofs/{name}.md", f"({TARGET}{name})=\n# {text}\n{used}\n"


def _used(name: str, theorems: Mapping[str, str]) -> Iterator[str]:
    """Say where a statement is used, and link its theorems."""
    yield "## On this site"
    if proved := statement(name).formal:
        links = ", ".join(anchor_tag(f"../{theorems[each]}", each) for each in proved)
        yield f"Theorems in Coq: {links}."
    where = {full.rpartition(".")[2]: page for full, page in objects().items()}
    rely = [each for each, on in FUNCTIONS.items() if name in on.statements]
    if rely:
        links = ", ".join(f"[`{e}`](../lookup/api/{where[e]}.md)" for e in rely)
        yield f"Functions that rest on it: {links}."
    families = [each for each, on in FAMILIES.items() if name in on.statements]
    if families:
        listed = ", ".join(f"`{each}`" for each in families)
        yield f"Families of the [atlas](../lookup/atlas.md) that it decides: {listed}."
    yield "[All statements](index.md), [theorems and functions](coq/theorems.md)"
