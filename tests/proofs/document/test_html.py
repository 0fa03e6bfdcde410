"""The page is well formed and needs nothing else."""

import re
from xml.etree import ElementTree

from proofs.engine import Statement
from tests.proofs.document.outcomes import DOCUMENTS, FAILED, Documents, over_documents
from tests.proofs.document.page import page_of


def test_kinds_of_proof_are_set_apart_in_a_page(statements: list[Statement]) -> None:
    assert page_of(DOCUMENTS).count("p", **{"class": "kinds"}) == len(statements)


def test_the_page_marks_failures_without_colour() -> None:
    page = page_of(FAILED)
    assert page.count("blockquote", **{"class": "alert"}) == 3
    assert page.count("p", **{"class": "not"}) == 3
    assert page_of(DOCUMENTS).count("p", **{"class": "not"}) == 0


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
