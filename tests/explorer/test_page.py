"""The page as a file: small, whole, and readable by the package."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from expressivity.errors import ArgumentError, FileError
from expressivity.explorer import explore, read
from expressivity.explorer.page import FOLDER
from expressivity.explorer.witnesses import STATEMENTS
from proofs.catalogue import NAMES
from tests import ROOT
from tests.explorer.pages import subjects

LARGEST = 1.5e6  # bytes


def test_a_page_is_one_small_file(saved: Path) -> None:
    text = saved.read_text(encoding="utf-8")
    assert len(text.encode()) < LARGEST
    assert not re.search(r"""(?:src|href)=["'](?!#|data:)""", text)
    assert "default-src 'none'" in text


def test_every_module_is_in_the_page_and_resolves(saved: Path) -> None:
    found = re.search(r'type="importmap">(.*?)</script>', saved.read_text())
    assert found
    names = set(json.loads(found[1])["imports"])
    wanted = set()
    for path in FOLDER.rglob("*.js"):
        wanted |= set(re.findall(r"(?:from|import) '(#[^']+)'", path.read_text()))
    assert wanted <= names
    assert len(names) == len(list(FOLDER.rglob("*.js")))


def test_formulas_know_nothing_of_the_page() -> None:
    for path in (FOLDER / "math").glob("*.js"):
        source = path.read_text(encoding="utf-8")
        assert not re.search(r"\b(document|window|location)\b\.", source), path
        assert "#page/" not in source
        assert "#views/" not in source


def test_a_page_is_read_back(saved: Path) -> None:
    layers = read(saved)
    assert list(layers) == ["sobel", "mixed"]
    torch.manual_seed(0)
    for whole in subjects():
        conv, x = layers[whole.name]
        assert torch.equal(x, whole.batch)
        assert torch.equal(conv(x), whole.conv(whole.batch))


def test_what_is_no_page_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.html"
    path.write_text("<!doctype html>")
    with pytest.raises(FileError, match=r"needs to be a page that explore\(\)"):
        read(path)


def test_a_notebook_shows_the_page_in_a_frame(page: Any) -> None:
    shown = page._repr_html_()
    assert shown.startswith('<iframe srcdoc="&lt;!doctype html&gt;')
    assert "Page(sobel, mixed;" in repr(page)


def test_the_page_is_in_the_wheel() -> None:
    """Hatch puts all files of the package into it that git does not ignore."""
    ignored = (ROOT / ".gitignore").read_text().split()
    kinds = {path.suffix for path in FOLDER.rglob("*") if path.is_file()}
    assert kinds == {".html", ".css", ".js", ".json"}
    assert not {f"*{kind}" for kind in kinds} & set(ignored)


def test_statements_of_families_exist() -> None:
    assert set(STATEMENTS.values()) <= set(NAMES)
    assert len(STATEMENTS) >= 5


@pytest.mark.parametrize("families", [["vit"], "alibi", None])
def test_other_families_are_refused(families: Any) -> None:
    with pytest.raises(ArgumentError, match=r"families needs"):
        explore(nn.Conv2d(1, 1, 1), torch.ones(1, 2, 2), families=families)
