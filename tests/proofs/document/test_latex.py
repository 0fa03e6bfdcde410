"""The article is balanced, and its links lead somewhere."""

import re
from collections import Counter

from tests.proofs.document.outcomes import DOCUMENTS, Documents, over_documents


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
