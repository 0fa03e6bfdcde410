"""What people do with the page: by pointer, by key, by the address."""

from pathlib import Path
from typing import Any

import pytest

from tests.explorer.browser import (
    VIEWS,
    change_alpha,
    numbers,
    open_page,
    settle,
    show,
)
from tests.explorer.pages import SIZE

INTERACTIVE = "a[href], button, select, input, summary, [tabindex='0'], pre[tabindex]"


def test_the_keyboard_reaches_everything(tab: Any, saved: Path) -> None:
    open_page(tab, saved)
    for view in VIEWS:
        show(tab, view)
    tab.evaluate("() => scrollTo(0, 0)")
    wanted = tab.evaluate(
        f"""() => {{
          const all = [...document.querySelectorAll("{INTERACTIVE}")];
          const seen = all.filter(e => e.checkVisibility());
          seen.forEach((e, i) => e.dataset.walk = i);
          return seen.length;
        }}"""
    )
    reached = set()
    for _ in range(2 * wanted):
        tab.keyboard.press("Tab")
        reached.add(tab.evaluate("() => document.activeElement.dataset.walk"))
    assert wanted > 60
    assert {str(i) for i in range(wanted)} <= reached


def test_what_can_be_dragged_can_be_typed_and_arrowed(tab: Any, saved: Path) -> None:
    open_page(tab, saved)
    show(tab, "kernel")
    before = numbers(tab, "kernel")[0]
    plane = tab.locator("#view-kernel .plane")
    box = plane.bounding_box()
    cell = box["width"] / 7

    def at(row: float, column: float) -> tuple[float, float]:
        return (
            box["x"] + (column + 3.5) * cell,
            box["y"] + (row + 3.5) * cell,
        )

    tab.mouse.move(*at(-1, -1))
    tab.mouse.down()
    tab.mouse.move(*at(-2, -1), steps=4)
    tab.mouse.up()
    settle(tab)
    assert "moved=0%3A-2%2C-1" in tab.url
    dragged = numbers(tab, "kernel")[0]
    assert dragged > before
    tab.get_by_role("button", name="All heads back to their taps").click()
    settle(tab)
    assert numbers(tab, "kernel")[0] == before
    plane.focus()
    tab.keyboard.press("ArrowUp")
    settle(tab)
    assert numbers(tab, "kernel")[0] == dragged
    typed = tab.get_by_label("rows down")
    typed.fill("-1")
    typed.press("Enter")
    settle(tab)
    assert numbers(tab, "kernel")[0] == before
    tab.mouse.click(*at(-2, -1))
    settle(tab)
    assert numbers(tab, "kernel")[0] == dragged


def test_the_query_moves_by_click_and_by_key(tab: Any, saved: Path) -> None:
    open_page(tab, saved, "layer=sobel&query=5,5")
    show(tab, "head")
    image = tab.locator("#view-head .map.active")
    image.focus()
    tab.keyboard.press("ArrowRight")
    settle(tab)
    assert "query=5%2C6" in tab.url
    box = image.bounding_box()
    tab.mouse.click(
        box["x"] + 0.5 * box["width"] / SIZE, box["y"] + 2.5 * box["height"] / SIZE
    )
    settle(tab)
    assert "query=2%2C0" in tab.url


def test_painting_never_beats_the_bound(tab: Any, saved: Path) -> None:
    open_page(tab, saved, "layer=sobel&alpha=2")
    show(tab, "worst")
    attained, bound = numbers(tab, "worst")[:2]
    assert attained == pytest.approx(bound, rel=1e-12)
    for name in ("Random signs", "The layer’s own image", "Nothing"):
        tab.get_by_role("button", name=name).click()
        settle(tab)
        attained, same = numbers(tab, "worst")[:2]
        assert same == bound
        assert attained < bound
    tab.locator("#view-worst .map.active").focus()
    for key in ("ArrowDown", "ArrowRight", "Space"):
        tab.keyboard.press(key)
        settle(tab)
    assert 0 < numbers(tab, "worst")[0] < bound


def test_a_pixel_is_painted_by_its_numbers(tab: Any, saved: Path) -> None:
    open_page(tab, saved, "layer=sobel&alpha=2")
    show(tab, "worst")
    view = tab.locator("#view-worst")
    tab.get_by_role("button", name="Nothing").click()
    settle(tab)
    for name, place in (("row", 3), ("column", 15)):
        view.get_by_label(name, exact=True).fill(str(place))
        tab.keyboard.press("Tab")
        settle(tab)
    assert numbers(tab, "worst")[0] == 0
    mark = view.locator(".map.active rect").first
    assert (mark.get_attribute("y"), mark.get_attribute("x")) == ("2", "14")
    for brush, letter in (("black", "n"), ("white", "p"), ("grey", "0")):
        view.get_by_role("button", name=brush).click()
        view.get_by_role("button", name="Paint this pixel").click()
        settle(tab)
        word = "0" * (2 * SIZE + 14) + letter + "0" * (SIZE * SIZE - 2 * SIZE - 15)
        assert f"paint={word}" in tab.url
        assert (numbers(tab, "worst")[0] > 0) == (letter != "0")


def test_the_state_survives_a_reload(tab: Any, saved: Path) -> None:
    open_page(tab, saved, "layer=sobel&alpha=3.3&head=4&moved=4:0.5,-0.25;0:1,1")
    change_alpha(tab, 4.5)
    show(tab, "kernel")
    before = numbers(tab, "kernel")
    tab.reload()
    tab.wait_for_selector("#verdict[data-count]")
    show(tab, "kernel")
    assert "alpha=4.5" in tab.url
    assert numbers(tab, "kernel") == before


def test_quotes_are_shown_only_where_they_hold(tab: Any, saved: Path) -> None:
    open_page(tab, saved, "layer=sobel&alpha=4")
    show(tab, "error")
    quoted = tab.locator("#view-error dd[data-kind=quoted]")
    assert all(quoted.nth(i).get_attribute("data-value") for i in range(2))
    change_alpha(tab, 4.1)
    assert not any(quoted.nth(i).get_attribute("data-value") for i in range(2))


def test_views_can_be_hidden_by_the_address(tab: Any, saved: Path) -> None:
    open_page(tab, saved, "hide=error,limits")
    assert tab.locator("section").count() == len(VIEWS) - 2
    tab.get_by_text("Show all views").click()
    settle(tab)
    assert tab.locator("section").count() == len(VIEWS)


@pytest.mark.parametrize("width", [400, 1280])
def test_scrolling_moves_nothing(tab: Any, saved: Path, width: int) -> None:
    # A button would move away between the press of a mouse and its release.
    tab.set_viewport_size({"width": width, "height": 500})
    open_page(tab, saved)
    where = "all => all.map(each => each.offsetTop)"
    before = tab.eval_on_selector_all("section, footer", where)
    for view in VIEWS:
        show(tab, view)
        assert tab.eval_on_selector_all("section, footer", where) == before, view
