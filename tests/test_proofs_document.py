"""The document: complete in every format, well formed, and loud about failures."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from rich.console import Console
from sympy import Symbol, exp, symbols

from proofs.catalogue import STATEMENTS
from proofs.document import FORMATS, write
from proofs.document.formulas import WIDE, displayed, tidy, width
from proofs.document.plain import plain, words
from proofs.document.terminal import show_derivation, show_table
from proofs.engine import (
    Control,
    Equal,
    Nonnegative,
    Outcome,
    Statement,
    Step,
    Verdict,
)

x, r = Symbol("x"), symbols("r", real=True)
VOID = {"meta", "br", "hr"}


def taken_for_granted(statement: Statement) -> Outcome:
    """Give every step and control the verdict it should have, in no time."""
    proof = Verdict.proof("one normal form")
    refutation = Verdict.refutation("x = 1/2, f(1, 2) = 3: -0.0449532")
    return Outcome(
        statement,
        (proof,) * len(statement.steps),
        (refutation,) * len(statement.controls),
        0.25,
    )


class Documents(dict[str, str]):
    """Documents by their format, each written when a test first asks for it."""

    def __init__(self, check: Callable[[], list[Outcome]]) -> None:
        self.check = check

    def __missing__(self, style: str) -> str:
        self[style] = write(self.check(), style)
        return self[style]


FAILING = replace(
    STATEMENTS[0],
    steps=(
        *STATEMENTS[0].steps[:1],
        Step("A *bold* <claim> & 100 % of_it_all #1.", Equal(x**2, x)),
        Step("An open one.", Nonnegative(exp(r) - 1 - r)),
    ),
    controls=(Control("True.", Equal(x, x)),),
)
DOCUMENTS = Documents(lambda: [*map(taken_for_granted, STATEMENTS)])
FAILED = Documents(lambda: [FAILING.check(), taken_for_granted(STATEMENTS[1])])

over_formats = pytest.mark.parametrize("style", FORMATS)
over_documents = pytest.mark.parametrize(
    "documents", [DOCUMENTS, FAILED], ids=["proved", "failed"]
)
over_statements = pytest.mark.parametrize("statement", STATEMENTS, ids=lambda s: s.name)


class Page(HTMLParser):
    """Collects what is in a page, and insists that its tags match."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text.append(data)

    def values(self, attribute: str) -> list[str]:
        return [a[attribute] or "" for _, a in self.tags if attribute in a]

    def count(self, tag: str, **attributes: str) -> int:
        return sum(
            name == tag and attributes.items() <= found.items()
            for name, found in self.tags
        )


@cache
def parsed(html: str) -> Page:
    return Page(html)


def page_of(documents: Documents) -> Page:
    return parsed(documents["html"])


def formulas(statement: Statement) -> list[str]:
    """Return all that is displayed of a statement."""
    return [
        statement.formula,
        *(step.latex() for step in statement.steps),
        *(control.latex() for control in statement.controls),
        *(formula.latex() for formula in statement.formulas.values()),
    ]


def texts(statement: Statement) -> list[str]:
    """Return all words of a statement."""
    return [
        statement.title,
        statement.words,
        statement.source,
        statement.scope,
        *statement.hypotheses,
        *(step.reason for step in statement.steps),
        *(control.wrong for control in statement.controls),
        *statement.remarks,
        *statement.formal,
        *statement.formal.values(),
        statement.informal,
    ]


def letters(text: str) -> str:
    """Keep the ASCII letters and digits: what no format changes."""
    return "".join(re.findall(r"[a-z0-9]", text.lower()))


@over_formats
def test_every_word_is_in_every_format(style: str) -> None:
    document = DOCUMENTS[style]
    if style == "html":
        document = "".join(page_of(DOCUMENTS).text)
    document = letters(document)
    for statement in STATEMENTS:
        for text in texts(statement):
            for piece in text.split("$")[::2]:
                assert letters(piece) in document, (statement.name, piece)


@over_formats
def test_every_formula_is_in_every_format(style: str) -> None:
    shown = [formula for statement in STATEMENTS for formula in formulas(statement)]
    if style == "html":
        assert page_of(DOCUMENTS).count("math", display="block") == len(shown)
        return
    document = "".join(re.sub(r"(?m)^> ?", "", DOCUMENTS[style]).split())
    for formula in shown:
        assert "".join(displayed(formula).split()) in document


@over_formats
def test_every_statement_says_how_much_of_it_coq_has_proved(style: str) -> None:
    document = DOCUMENTS[style]
    counts = Counter(statement.coverage for statement in STATEMENTS)
    assert document.count("Kinds of proof:") == len(STATEMENTS)
    assert document.count("none in Coq") == counts[""]
    for share in ("part", "full"):
        assert document.count(f"in {share}, Coq:") == counts[share]
    left = sum(bool(statement.informal) for statement in STATEMENTS)
    assert document.count("Not in Coq:") == left


def test_the_contents_say_how_much_coq_has_proved() -> None:
    rows = [
        line.strip("| ").split(" | ")
        for line in DOCUMENTS["markdown"].splitlines()
        if re.match(r"\| \d+ \| \[", line) and "proved" in line
    ]
    shares = [row[4].strip() if len(row) > 4 else "" for row in rows]
    assert shares == [statement.coverage for statement in STATEMENTS]


def test_kinds_of_proof_are_set_apart_in_a_page() -> None:
    assert page_of(DOCUMENTS).count("p", **{"class": "kinds"}) == len(STATEMENTS)


@over_formats
def test_every_step_and_control_has_its_verdict(style: str) -> None:
    document = DOCUMENTS[style]
    steps = sum(len(statement.steps) for statement in STATEMENTS)
    controls = sum(len(statement.controls) for statement in STATEMENTS)
    assert len(re.findall(r"Decided:", document)) == steps
    assert len(re.findall(r"Refuted:", document)) == controls
    assert "NOT" not in document.replace("NOTATION", "")


@over_formats
def test_what_is_not_proved_is_marked_loudly(style: str) -> None:
    document = FAILED[style]
    assert "NOT EVERYTHING HERE IS PROVED" in document
    # In the contents, above the statement, and at both of its steps.
    assert document.count("NOT PROVED") == 4
    assert "Steps not decided: 2, 3." in document
    assert "Controls not refuted: 1." in document
    assert document.count("NOT REFUTED") == 1
    assert "1 of 3" in document


def test_the_page_marks_failures_without_colour() -> None:
    page = page_of(FAILED)
    assert page.count("blockquote", **{"class": "alert"}) == 3
    assert page.count("p", **{"class": "not"}) == 3
    assert page_of(DOCUMENTS).count("p", **{"class": "not"}) == 0


def test_words_are_not_taken_for_markup() -> None:
    assert "A *bold* <claim> & 100 % of_it_all #1." in "".join(page_of(FAILED).text)
    assert r"\& 100 \% of\_it\_all \#1." in FAILED["latex"]
    assert r"A \*bold\* \<claim> & 100 % of\_it\_all" in FAILED["markdown"]


@over_documents
def test_the_page_is_well_formed(documents: Documents) -> None:
    page = page_of(documents)
    assert page.open == []
    assert len(page.values("id")) == len(set(page.values("id")))
    assert page.count("html", lang="en") == page.count("title") == 1
    assert page.count("meta", name="viewport") == 1
    assert {f"#{name}" for name in page.values("id")} == set(page.values("href"))


@over_documents
def test_the_page_needs_nothing_else(documents: Documents) -> None:
    page = page_of(documents)
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in page.tags}
    assert page.values("src") == []
    style = DOCUMENTS["html"].partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style


@over_documents
def test_no_latex_is_left_on_the_page(documents: Documents) -> None:
    page = page_of(documents)
    text = "".join(page.text)
    assert "\\" not in text
    assert "$" not in text


def test_formulas_of_the_page_are_well_formed() -> None:
    found = re.findall(r"<math.*?</math>", DOCUMENTS["html"], re.DOTALL)
    assert len(found) > 100
    for mathml in found:
        for element in ElementTree.fromstring(mathml).iter():
            assert (
                element.text
                or len(element)
                or element.tag.endswith(("mi", "mo", "mspace", "mtd"))
            ), mathml


@over_documents
def test_dollars_of_markdown_come_in_pairs(documents: Documents) -> None:
    document = documents["markdown"]
    outside = []
    for place, piece in enumerate(document.split("$$")):
        if place % 2 == 0:
            outside.append(piece)
    assert len(document.split("$$")) % 2 == 1
    for block in "\n\n".join(outside).split("\n\n"):
        assert block.count("$") % 2 == 0, block


def test_cells_of_markdown_hold_no_bars() -> None:
    for line in DOCUMENTS["markdown"].splitlines():
        if line.startswith("|"):
            assert line.count("|") in (3, 5, 6), line


@over_documents
def test_latex_is_balanced(documents: Documents) -> None:
    document = documents["latex"]
    bare = re.sub(r"\\[\\{}$%&#_]", "", document)
    assert bare.count("{") == bare.count("}")
    assert bare.count("$") % 2 == 0
    opened: list[str] = []
    for end, name in re.findall(r"\\(begin|end)\{(\w+)\}", document):
        if end == "begin":
            opened.append(name)
        else:
            assert opened.pop() == name
    assert opened == []
    assert Counter(re.findall(r"\\\[|\\\]", document)).keys() == {r"\[", r"\]"}
    assert document.count("\n\\[\n") == document.count("\n\\]\n")


def test_latex_holds_no_letters_that_pdflatex_does_not_know() -> None:
    assert [c for c in DOCUMENTS["latex"] if ord(c) > 0xFF] == []


def test_links_of_latex_lead_somewhere() -> None:
    document = DOCUMENTS["latex"]
    labels = re.findall(r"\\label\{(\w+)\}", document)
    assert len(labels) == len(set(labels))
    assert set(re.findall(r"\\hyperref\[(\w+)\]", document)) <= set(labels)


def on_one_line(formula: str) -> str:
    """Return what is left of a formula without its layout."""
    layout = r"\\begin\{aligned\}|\\end\{aligned\}|\\\\\n|&"
    aligned = r"\begin{aligned}" in formula
    return plain(re.sub(layout, "", formula) if aligned else formula).replace(" ", "")


@over_statements
def test_tidying_and_breaking_change_no_formula(statement: Statement) -> None:
    for formula in formulas(statement):
        assert on_one_line(tidy(formula)) == on_one_line(formula)
        assert on_one_line(displayed(formula)) == on_one_line(formula)


@over_statements
def test_tidying_removes_brackets_in_pairs_only(statement: Statement) -> None:
    for formula in formulas(statement):
        for bracket in "()[]|":
            assert tidy(formula).count(bracket) == formula.count(bracket)
        braces = tidy(formula).replace(r"\{", "").replace(r"\}", "")
        assert braces.count("{") == braces.count("}")


def test_wide_formulas_are_broken() -> None:
    terms = " + ".join(f"x_{{{n}}}" for n in range(60))
    rows = displayed(f"{terms} = {terms}").splitlines()
    assert len(rows) > 6
    assert all(width(row) <= WIDE + 12 for row in rows)


@over_statements
def test_a_terminal_shows_no_latex(statement: Statement) -> None:
    for text in texts(statement):
        assert not set("\\$") & set(words(text))
    for formula in formulas(statement):
        assert not set("\\$") & set(plain(formula))


def printed(outcomes: list[Outcome]) -> str:
    console = Console(width=200, highlight=False)
    with console.capture() as capture:
        for outcome in outcomes:
            show_derivation(outcome, console)
        show_table(outcomes, console)
    return capture.get()


def test_a_terminal_shows_everything() -> None:
    text = printed([*map(taken_for_granted, STATEMENTS)])
    shown = letters(text)
    for statement in STATEMENTS:
        assert letters(words(statement.title)) in shown
        assert statement.name in text
        for name, what in statement.formal.items():
            assert letters(f"In Coq, {name}: {words(what)}") in shown
        left = statement.informal or ("" if statement.formal else "all of it")
        assert not left or letters(f"Not in Coq: {words(left)}") in shown
        row = (
            rf"^ *{statement.name} .*\d\.\d\d +{statement.coverage or 'All|Any|The'}\b"
        )
        assert re.search(row, text, re.M), statement.name
    steps = sum(len(statement.steps) for statement in STATEMENTS)
    assert f"{steps}/{steps}" in text
    assert f"{len(STATEMENTS)} of {len(STATEMENTS)} proved" in text
    assert "NOT" not in text


def test_a_terminal_shows_failures() -> None:
    text = printed([FAILING.check()])
    assert text.count("NOT DECIDED") == 2
    assert text.count("NOT REFUTED") == 1
    assert "1/3" in text
    assert "0 of 1 proved" in text
