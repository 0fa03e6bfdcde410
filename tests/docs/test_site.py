"""The site, opened from its folder: no network, no broken link, formulas to be seen."""

from pathlib import Path
from typing import Any

import pytest

from docs.building.api import entries, objects
from docs.building.navigation import SECTIONS
from proofs.catalogue import NAMES, statement
from proofs.formal import FUNCTIONS
from tests.docs.pages import KINDS, PAGES, SITE, broken, read

pytestmark = pytest.mark.docs
per_page = pytest.mark.parametrize("page", PAGES or ["index.html"])
SCHEMES = [
    {"color_scheme": "light", "viewport": {"width": 1280, "height": 900}},
    {"color_scheme": "dark", "viewport": {"width": 1280, "height": 900}},
    {"color_scheme": "light", "viewport": {"width": 360, "height": 740}},
]
per_scheme = pytest.mark.parametrize(
    "tab", SCHEMES, indirect=True, ids=["light", "dark", "narrow"]
)
# What is drawn of a formula; the parts of it that have no ink of their own aside.
FORMULAS = """() => [...document.querySelectorAll("math")].filter(m => {
  if (m.closest("details:not([open])")) return false;
  const box = m.getBoundingClientRect();
  return box.width < 2 || box.height < 2 || !m.textContent.trim();
}).map(m => m.outerHTML.slice(0, 200))"""
ERRORS = """() => [...document.querySelectorAll("merror, .math-error, .problematic")]
  .map(e => e.outerHTML.slice(0, 200))"""
PICTURES = """() => [...document.images].filter(i => !i.complete || !i.naturalWidth)
  .map(i => i.src)"""


def open_page(tab: Any, page: str) -> None:
    tab.goto((SITE / page).as_uri())
    tab.wait_for_load_state("load")


def text_of(page: str) -> str:
    return (SITE / page).read_text(encoding="utf-8")


def test_the_site_is_built() -> None:
    assert len(PAGES) > 100, "make docs builds it"


@per_page
def test_a_page_needs_nothing_but_the_folder(page: str, tab: Any) -> None:
    open_page(tab, page)
    tab.evaluate("() => document.fonts.ready.then(() => true)")
    inside = SITE.as_uri() + "/"
    outside = [u for u in tab.requests if not u.startswith((inside, "data:", "blob:"))]
    assert outside == []
    assert tab.messages == []
    assert tab.evaluate(PICTURES) == []
    assert tab.evaluate(FORMULAS) == []
    assert tab.evaluate(ERRORS) == []


@per_page
def test_no_link_of_a_page_is_broken(page: str) -> None:
    assert broken(SITE / page) == []


def test_a_broken_link_would_be_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text('<a href="none.html"></a><a href="#x"></a><a href="#y" id="y"></a>')
    assert broken(page) == ["none.html", "#x"]


def test_formulas_are_drawn_by_the_mathematical_font(tab: Any) -> None:
    open_page(tab, KINDS["formulas"])
    tab.evaluate("() => document.fonts.ready.then(() => true)")
    assert tab.evaluate("() => document.fonts.check('16px \"STIX Math\"')")
    # With a MATH table a numerator keeps away from the bar.
    apart = tab.evaluate(
        """() => [...document.querySelectorAll("mfrac")].map(f => {
             const [top, bottom] = [...f.children].map(e => e.getBoundingClientRect());
             return bottom.top - top.bottom;
           })"""
    )
    assert apart
    assert min(apart) > 1


@per_scheme
@pytest.mark.parametrize("kind", KINDS)
def test_axe_finds_nothing(kind: str, tab: Any) -> None:
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright",
        reason="needs axe: pip install axe-playwright-python",
    )
    open_page(tab, KINDS[kind])
    results = axe.Axe().run(tab)
    found = [
        (each["id"], [node["target"] for node in each["nodes"]][:3])
        for each in results.response["violations"]
    ]
    assert found == []


@pytest.mark.parametrize("tab", SCHEMES[2:], indirect=True)
@pytest.mark.parametrize("kind", KINDS)
def test_a_narrow_page_does_not_scroll_sideways(kind: str, tab: Any) -> None:
    open_page(tab, KINDS[kind])
    width = tab.evaluate("() => document.documentElement.scrollWidth")
    assert width <= 360


@pytest.mark.parametrize("words", ["guarantee", "bound", "worst case"])
def test_a_search_finds_certify(words: str, tab: Any) -> None:
    open_page(tab, "search.html")
    tab.goto(f"{(SITE / 'search.html').as_uri()}?q={words.replace(' ', '+')}")
    tab.wait_for_selector("#search-results p.search-summary >> text=/found|Found/")
    links = tab.eval_on_selector_all(
        "#search-results li a", "all => all.map(a => a.getAttribute('href'))"
    )
    assert any("lookup/api/certify.html" in link for link in links)
    assert tab.messages == []


def test_every_page_is_two_clicks_away() -> None:
    home = {link.partition("#")[0] for link in read(SITE / "index.html").links}
    assert {f"{page}.html" for pages in SECTIONS.values() for page in pages} <= home
    assert "explorer.html" in home


def test_every_public_name_has_an_entry() -> None:
    for name, page in objects().items():
        text = text_of(f"lookup/api/{page}.html")
        short = name.rpartition(".")[2]
        assert f'id="{name}"' in text or f'id="expressivity.{short}"' in text, name


def test_an_entry_says_what_it_takes_and_raises() -> None:
    for name in (entry.name for entry in entries().values() if callable(entry.value)):
        text = text_of(f"lookup/api/{name}.html")
        assert "Parameters" in text or "Attributes" in text, name
        assert 'class="gp"' in text, f"{name} needs an example"


@pytest.mark.parametrize("name", NAMES)
def test_statements_and_functions_link_each_other(name: str) -> None:
    page = SITE / f"proofs/{name}.html"
    there = set(read(page).links)
    pages = {full.rpartition(".")[2]: where for full, where in objects().items()}
    for function, reliance in FUNCTIONS.items():
        if name in reliance.statements:
            entry = f"lookup/api/{pages[function]}.html"
            assert f"../{entry}" in there
            back = {link.partition("#")[0] for link in read(SITE / entry).links}
            assert f"../../proofs/{name}.html" in back
    for theorem in statement(name).formal:
        ends = (f".html#{theorem}", "coq/theorems.html")
        assert any(link.endswith(ends) for link in there), theorem
