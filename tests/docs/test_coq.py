"""Pages of the Coq sources: with Coq, and on a machine without it."""

import re
import shutil

import pytest

from docs.building.coq import Development, linked
from proofs.formal import files, theorems


def test_without_coq_links_end_in_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    development = Development.read()
    assert list(development.pages()) == []
    assert set(development.theorems().values()) == {"proofs/coq/theorems.html"}
    assert "has no Coq" in development.notice()
    assert "\ntheorems\n" in development.contents()


def test_a_theorem_has_a_place_in_its_file() -> None:
    bodies = {path.stem: "<div></div>" for path in files()}
    development = Development(bodies)
    assert development.notice() == ""
    for name, address in development.theorems().items():
        stem = theorems()[name].file.removesuffix(".v")
        assert address == f"proofs/coq/Expressivity.{stem}.html#{name}"
    titles = [text.splitlines()[0] for _, text in development.pages()]
    assert all(re.fullmatch(r"# \w+\.v: \S.*[^.]", title) for title in titles)


def test_links_to_bound_variables_are_left_out() -> None:
    bodies = {
        "leak": '<a id="theta" class="idref" href="#theta">theta</a>'
        '<a class="idref" href="Expressivity.leak.html#e:5">e</a>',
        "other": '<a class="idref" href="Expressivity.leak.html#theta">theta</a>',
    }
    mended = linked(bodies)
    assert mended["leak"].endswith(">theta</a>e")
    assert mended["other"] == bodies["other"]
