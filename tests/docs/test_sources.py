"""The documentation before it is built: what it holds, what README and site share."""

import inspect
import re
from pathlib import Path

import pytest
import yaml

import expressivity as ex
from docs.building import api
from docs.building.documents import FOLDER, Site, hand_written, piece
from docs.building.navigation import SECTIONS
from expressivity import errors
from expressivity.version import __version__
from tests import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted(FOLDER.rglob("*.md"))
INCLUDE = re.compile(r"^<!-- include: (\S+) (\S+) -->$", re.MULTILINE)
LINK = re.compile(r"\]\((?!http)([^)#\s]+\.md)[^)]*\)")
OWN_LAYER = re.compile(r"ex\.certify\(")
LONGEST_README, LONGEST_PATH = 700, 3


def path_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def test_the_readme_fits_a_screen() -> None:
    assert len(README.split()) <= LONGEST_README


def test_a_newcomer_gets_to_a_certificate_within_three_pages() -> None:
    """Follow links from the README until a page certifies the reader's own layer."""
    reached, steps = {ROOT / "README.md"}, 1
    while not any(certifies(page) for page in reached):
        reached = {target for page in reached for target in linked(page)}
        steps += 1
        assert steps <= LONGEST_PATH
    assert reached


def certifies(page: Path) -> bool:
    text = page.read_text(encoding="utf-8")
    return bool(OWN_LAYER.search(text)) and "of yours" in text


def linked(page: Path) -> set[Path]:
    targets = LINK.findall(page.read_text(encoding="utf-8"))
    return {path for t in targets if (path := (page.parent / t).resolve()).is_file()}


def test_entries_are_the_public_names() -> None:
    assert set(api.entries()) == set(ex.__all__)


def test_a_name_without_an_entry_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ex.public, "__all__", [*ex.__all__, "brand_new"])
    with pytest.raises(ValueError, match=r"add \['brand_new'\], remove none"):
        api.entries()


def test_every_entry_is_documented() -> None:
    """Functions say what they take, return and raise, with an example that runs."""
    elsewhere = (FOLDER / "do" / "take_home.md").read_text(encoding="utf-8")
    for name in api.objects():
        value = ex
        for part in name.split(".")[1:]:
            value = getattr(value, part)
        text = inspect.getdoc(value) or ""
        assert text.split("\n\n")[0].rstrip().endswith((".", "?", ":")), name
        if inspect.isfunction(value):
            assert all(part in text for part in ("Args:", "Returns:", "Raises:")), name
            assert ">>> " in text or f"ex.{name.partition('.')[2]}(" in elsewhere, name


def test_every_page_of_the_api_has_an_example() -> None:
    examples = {}
    for name, page in api.objects().items():
        value = ex
        for part in name.split(".")[1:]:
            value = getattr(value, part)
        members = vars(value).values() if inspect.isclass(value) else ()
        texts = [inspect.getdoc(each) or "" for each in (value, *members)]
        examples[page] = examples.get(page, False) or any(">>> " in t for t in texts)
    modules = {name for name in examples if ">>> " in (getattr(ex, name).__doc__ or "")}
    assert {page for page, found in examples.items() if not found} <= modules


@pytest.mark.parametrize("page", PAGES, ids=path_of)
def test_pieces_that_a_page_includes_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for path, name in INCLUDE.findall(text):
        assert piece((ROOT / path).read_text(encoding="utf-8"), name)
    assert text.startswith("# ")


def test_every_piece_of_the_readme_is_on_a_page() -> None:
    included = {
        name
        for page in PAGES
        for path, name in INCLUDE.findall(page.read_text(encoding="utf-8"))
        if path == "README.md"
    }
    assert included == set(re.findall(r"<!-- ([\w-]+): begin -->", README))


def test_nothing_stands_in_two_sources() -> None:
    """Paragraphs of the README are not written again on a page."""
    paragraphs = {p for p in re.split(r"\n\n+", README) if len(p.split()) > 12}
    for page in PAGES:
        again = paragraphs & set(page.read_text(encoding="utf-8").split("\n\n"))
        assert not again, page


def test_a_piece_has_one_place() -> None:
    with pytest.raises(ValueError, match="once each"):
        piece("<!-- a: begin -->\nx\n", "a")


def test_every_page_has_a_section_and_a_link_on_the_first_page() -> None:
    listed = {page for pages in SECTIONS.values() for page in pages}
    written = {path.relative_to(FOLDER).with_suffix("").as_posix() for path in PAGES}
    assert written - {"index"} <= listed
    site = Site(hand_written(), lambda file, line: "")
    linked = re.findall(r"\]\(([^)]+)\.md\)", site.page("docs/index.md"))
    assert set(linked) == listed


def test_links_lead_to_pages() -> None:
    places = hand_written()
    site = Site(places, lambda file, line: f"proofs/coq/{file}.html#L{line}")
    given = (
        "[a](docs/do/alpha.md#x) [b](https://c.org) [c](LICENSE) ![d](docs/heads.png) "
        "[e](proofs/coq/leak.v#L3) [f](proofs/statements/attention/leak.py) [g](#here)"
    )
    assert site.linked(given, "README.md", "start/theorem.md") == (
        "[a](../do/alpha.md#x) [b](https://c.org) c ![d](../heads.png) "
        '<a class="reference internal" href="../proofs/coq/leak.v.html#L3">e</a> '
        "[f](#statement-leak) [g](#here)"
    )


def test_code_is_left_alone() -> None:
    site = Site({}, lambda file, line: "")
    text = "```python\nlist[int](x)\n```"
    assert site.linked(text, "README.md", "index.md") == text


def test_every_error_has_a_remedy() -> None:
    table = (FOLDER / "lookup" / "errors.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| `(\w+)` \|", table, re.MULTILINE))
    kinds = {
        kind.__name__: [
            b.__name__ for b in kind.__bases__ if b.__module__ == "builtins"
        ]
        for kind in vars(errors).values()
        if isinstance(kind, type) and kind is not errors.ExpressivityError
    }
    assert {name: [base] for name, base in rows.items()} == kinds


def test_the_citation_is_of_this_version_and_that_paper() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert str(citation["version"]) == __version__
    paper = citation["preferred-citation"]
    assert f"{{{paper['title']}}}" in README
    assert f"{{{paper['url']}}}" in README
    names = [author["family-names"] for author in paper["authors"]]
    assert names == re.findall(
        r"(\w+), [\w-]+(?= and|\})", README[README.index("author") :]
    )
