"""Pages of the public names, grouped as a user thinks."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

from torch import nn

import expressivity
from docs.building.documents import anchor_tag
from expressivity import public
from proofs.document.myst import TARGET
from proofs.formal import FUNCTIONS


@dataclass(frozen=True)
class Entry:
    """A public name.

    Attributes:
        name: The name, an attribute of ``expressivity``.
        question: What it answers, in the words of somebody who does not know the name.
        results: Classes that it returns, by their full names.
    """

    name: str
    question: str
    results: tuple[str, ...] = ()

    @property
    def value(self) -> object:
        """The object of that name."""
        return getattr(expressivity, self.name)


GROUPS: dict[str, tuple[Entry, ...]] = {
    "Convert and convert back": (
        Entry("attention_from_conv", "How do I turn one convolution into attention?"),
        Entry(
            "conv_from_attention",
            "How do I get the convolution back?",
            ("expressivity.conversion.NearestConvolution",),
        ),
        Entry(
            "convert",
            "How do I turn every convolution of a network into attention?",
            (
                "expressivity.conversion.network.Conversion",
                "expressivity.conversion.network.LayerRecord",
            ),
        ),
        Entry("load", "How do I read what I saved?"),
    ),
    "The layer": (
        Entry(
            "RelativeSelfAttention",
            "What is the attention layer, and what can I ask it?",
        ),
        Entry("ConvGeometry", "Where are taps, queries and padding of a convolution?"),
    ),
    "How far off is it?": (
        Entry(
            "certify",
            "What guarantee is there? A bound on the worst case, over every input, "
            "rounding included.",
        ),
        Entry("Certificate", "What does a certificate state, and how is it checked?"),
        Entry(
            "worst_case_error",
            "What is the worst case in exact arithmetic, before or after I convert?",
        ),
        Entry("alpha_for", "Which α keeps the error within a tolerance?"),
        Entry(
            "error_sweep",
            "How does the error fall as α grows?",
            ("expressivity.sweep.ErrorSweep",),
        ),
        Entry(
            "compare",
            "How far apart are two modules on my inputs?",
            ("expressivity.comparison.Difference",),
        ),
        Entry("accuracy", "Which formulas give leak, first order and truncation?"),
    ),
    "How many heads?": (
        Entry(
            "head_count",
            "How many heads does a convolution need, and what do fewer cost?",
            (
                "expressivity.conversion.HeadCount",
                "expressivity.conversion.HeadCurve",
                "expressivity.conversion.TableHeads",
            ),
        ),
    ),
    "Look at it": (
        Entry(
            "explore",
            "What happens while α moves, for my layer and my image?",
            ("expressivity.explorer.Page",),
        ),
        Entry("plots", "How do I draw attention maps, errors and cost?"),
    ),
    "Other layers": (
        Entry("atlas", "Which other layers can compute a convolution, and which not?"),
        Entry("stock", "How do the weights get into torch, timm and transformers?"),
        Entry("training", "How do I train it on, and what do its heads do?"),
    ),
    "When something is wrong": (
        Entry("errors", "What does an error mean, and what do I do?"),
    ),
}


def entries() -> dict[str, Entry]:
    """Return the entries by their names.

    Returns:
        Entries.

    Raises:
        ValueError: If they are not the public names, each of them once.
    """
    listed = [entry for group in GROUPS.values() for entry in group]
    names = [entry.name for entry in listed]
    missing = sorted(set(public.__all__) - set(names))
    surplus = sorted(set(names) - set(public.__all__))
    if missing or surplus or len(set(names)) < len(names):
        raise ValueError(
            "GROUPS in docs/building/api.py needs every public name once: "
            f"add {missing or 'none'}, remove {surplus or 'none'}"
        )
    return {entry.name: entry for entry in listed}


def objects() -> dict[str, str]:
    """Return every object that has an entry, and the page that it stands on.

    Returns:
        Full names, as they are imported, and the names of pages.
    """
    pages: dict[str, str] = {}
    for name, entry in entries().items():
        if isinstance(entry.value, ModuleType):
            pages |= {f"expressivity.{name}.{each}": name for each in _own(entry)}
        else:
            pages[f"expressivity.{name}"] = name
        pages |= dict.fromkeys(entry.results, name)
    return pages


def pages(theorems: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Write the pages.

    Args:
        theorems: The address of each Coq theorem, below the root of the site.

    Yields:
        Paths below the root of the site, and MyST.
    """
    yield "lookup/api/index.md", _index()
    for entry in entries().values():
        yield f"lookup/api/{entry.name}.md", "\n\n".join(_page(entry, theorems)) + "\n"


def _index() -> str:
    lines = [
        "# Python",
        "Every public name is an attribute of `import expressivity as ex`.",
    ]
    for title, group in GROUPS.items():
        rows = [f"| [`ex.{e.name}`]({e.name}.md) | {e.question} |" for e in group]
        lines += [
            f"## {title}",
            "\n".join(("| name | answers |", "| --- | --- |", *rows)),
        ]
    lines += [toctree([entry.name for entry in entries().values()])]
    return "\n\n".join(lines) + "\n"


def toctree(names: Sequence[str], caption: str = "") -> str:
    """Name the pages below a page.

    Args:
        names: Pages, seen from the page.
        caption: What is written above them.

    Returns:
        MyST.
    """
    options = [":hidden:", *([f":caption: {caption}"] if caption else [])]
    return "\n".join(("```{toctree}", *options, "", *names, "```"))


def _page(entry: Entry, theorems: Mapping[str, str]) -> Iterator[str]:
    yield f"# {entry.name}"
    yield f"*{entry.question}*"
    yield from _rests_on(entry.name, theorems)
    if isinstance(entry.value, ModuleType):
        yield _rst(f".. automodule:: expressivity.{entry.name}")
        elsewhere = [name for name in _members(entry.value) if name in entries()]
        if elsewhere:
            links = ", ".join(f"[{name}]({name}.md)" for name in elsewhere)
            yield f"The module also has {links}, which have pages of their own."
        for name in _own(entry):
            yield f"## {name}"
            yield from _rests_on(name, theorems)
            yield _documented(getattr(entry.value, name), f"{entry.name}.{name}")
    else:
        yield _documented(entry.value, entry.name)
    for result in entry.results:
        yield f"## {result.rpartition('.')[2]}"
        yield _class(result)


def _members(module: ModuleType) -> list[str]:
    """Return what a module offers."""
    named = getattr(module, "__all__", None)
    if named is not None:
        return list(named)
    return [
        name
        for name, value in vars(module).items()
        if inspect.isclass(value) and value.__module__ == module.__name__
    ]


def _own(entry: Entry) -> list[str]:
    """Return the members of a module that have no page of their own."""
    module = entry.value
    if not isinstance(module, ModuleType):
        return []
    return [name for name in _members(module) if name not in entries()]


def _documented(value: object, name: str) -> str:
    if inspect.isclass(value):
        return _class(f"expressivity.{name}")
    if callable(value):
        return _rst(f".. autofunction:: expressivity.{name}")
    return _rst(f".. autodata:: expressivity.{name}\n   :no-value:")


def _class(name: str) -> str:
    module, _, attribute = name.rpartition(".")
    value = getattr(import_module(module), attribute)
    options = [":members:", ":inherited-members: Module, BaseException, object, dict"]
    if issubclass(value, nn.Module | BaseException):
        options.append(":show-inheritance:")
    return _rst("\n   ".join((f".. autoclass:: {name}", *options)))


def _rst(directive: str) -> str:
    return f"```{{eval-rst}}\n{directive}\n```"


def _rests_on(name: str, theorems: Mapping[str, str]) -> Iterator[str]:
    """Say which statements and theorems a function rests on."""
    if name not in FUNCTIONS:
        return
    reliance = FUNCTIONS[name]
    statements = ", ".join(f"[{each}](#{TARGET}{each})" for each in reliance.statements)
    proved = ", ".join(
        anchor_tag(f"../../{theorems[each]}", each) for each in reliance.theorems
    )
    opening = ":::{admonition} Rests on\n:class: rests-on"
    yield f"{opening}\n{statements}; in Coq {proved}\n:::"
