"""The page in a browser: what it asks for, shows, and lets people do."""

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from expressivity.explorer.page import Page, html
from expressivity.explorer.quoted import Settings
from expressivity.explorer.scene import LayerScene, Scene
from expressivity.explorer.subject import Subject
from tests.explorer.browser import (
    VIEWS,
    change_alpha,
    numbers,
    open_page,
    show,
)
from tests.explorer.pages import SIZE

LARGEST_FRAME = 16.0  # milliseconds
FRAMES = 30


def test_one_request_and_an_empty_console(tab: Any, saved: Path) -> None:
    open_page(tab, saved)
    for view in VIEWS:
        show(tab, view)
    assert [url.split("#")[0] for url in tab.requests] == [saved.as_uri()]
    assert tab.messages == []


def test_the_footer_says_that_the_page_agrees(tab: Any, saved: Path) -> None:
    open_page(tab, saved)
    verdict = tab.locator("#verdict")
    assert int(verdict.get_attribute("data-count")) == 44
    assert float(verdict.get_attribute("data-largest")) <= 1e-12
    assert "agrees with the package on 44 numbers" in verdict.inner_text()
    assert verdict.get_attribute("class") == "good"


def test_the_footer_notices_a_wrong_number(tab: Any, page: Any, tmp_path: Path) -> None:
    scene = json.loads(json.dumps(page.scene.to_dict()))
    expected = scene["layers"][0]["references"][0]["expected"]
    expected["leak"] *= 1 + 1e-11
    broken = tmp_path / "broken.html"
    broken.write_text(html(scene), encoding="utf-8")
    open_page(tab, broken)
    assert tab.locator("#verdict").get_attribute("class") == "bad"
    assert "does not agree" in tab.locator("#verdict").inner_text()


@pytest.mark.parametrize("view", VIEWS)
def test_a_frame_is_fast(view: str, tab: Any, saved: Path) -> None:
    """Sixteen milliseconds for 16×16 pixels and nine heads."""
    hidden = ",".join(name for name in VIEWS if name != view)
    open_page(tab, saved, f"layer=sobel&hide={hidden}")
    show(tab, view)
    size = tab.evaluate(
        "() => JSON.parse(document.getElementById('scene').textContent)"
        ".layers[0].image.shape"
    )
    assert size == [1, SIZE, SIZE]
    times = tab.evaluate(
        """async (frames) => {
          const slider = document.querySelector('#bar input[type=range]');
          const times = [];
          for (let i = 0; i < frames; i++) {
            slider.value = String(2 + i / 10);
            slider.dispatchEvent(new Event('input'));
            await new Promise((done) =>
              requestAnimationFrame(() => requestAnimationFrame(done)));
            times.push(Number(document.getElementById('speed').dataset.last));
          }
          return times.sort((a, b) => a - b);
        }""",
        FRAMES,
    )
    assert len(times) == FRAMES
    # The tests share the processor: what else runs makes some frames long.
    assert times[FRAMES // 10] <= LARGEST_FRAME, times


STATES = {
    "start": "layer=sobel",
    "soft": "layer=sobel&alpha=0.7&head=5&query=3,0&paint=image&step=7&epoch=4",
    "sharp": "layer=mixed&alpha=8&output=2&head=1&query=2,7&heads=4&family=content",
    "moved": "layer=sobel&alpha=3.3&head=4&moved=4:0.5,-0.25;0:1,1&paint=0",
}


@pytest.mark.parametrize("state", STATES)
def test_python_gives_the_numbers(state: str, tab: Any, saved: Path) -> None:
    open_page(tab, saved, STATES[state])
    for view in VIEWS:
        show(tab, view)
        code = tab.locator(f"#view-{view} pre").text_content()
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            exec(code, {})
        printed = [float(line) for line in output.getvalue().split()]
        shown = numbers(tab, view)
        assert printed, view
        some = pytest.approx(shown[: len(printed)], rel=1e-6, abs=1e-12)
        assert printed == some, view
        live = tab.locator(f"#view-{view} dd[data-kind=live]").count()
        assert live <= len(printed), view


@pytest.mark.parametrize(
    "tab",
    [
        {"color_scheme": "light"},
        {"color_scheme": "dark"},
        {"forced_colors": "active"},
    ],
    indirect=True,
    ids=["light", "dark", "forced"],
)
def test_axe_finds_nothing(tab: Any, saved: Path) -> None:
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright",
        reason="needs axe: pip install axe-playwright-python",
    )
    open_page(tab, saved)
    for view in VIEWS:
        show(tab, view)
    results = axe.Axe().run(tab)
    found = [
        (each["id"], [node["target"] for node in each["nodes"]][:3])
        for each in results.response["violations"]
    ]
    assert found == []


def test_a_page_starts_where_it_was_made_for(tab: Any, tmp_path: Path) -> None:
    conv = nn.Conv2d(1, 1, 3, padding=1)
    settings = Settings(alpha=5.3, alphas=(2.0,), strategy="dense")
    subject = Subject.of("start", "Start", conv, torch.rand(1, 6, 6))
    page = Page(Scene((LayerScene.of(subject, settings),), []))
    open_page(tab, page.save(tmp_path / "page.html"))
    show(tab, "error")
    assert tab.locator("#bar input[type=number] >> nth=-1").input_value() == "5.3"
    quoted = tab.locator("#view-error dd[data-kind=quoted]").first
    assert float(quoted.get_attribute("data-value")) > 0
    assert "evaluated by dense" in tab.locator(
        "#view-error .quoted"
    ).first.get_attribute("title")
    assert "#" not in tab.url.rstrip("#")
    change_alpha(tab, 2)
    assert "alpha=2" in tab.url


@pytest.mark.parametrize(
    "tab", [{"viewport": {"width": 320, "height": 640}}], indirect=True
)
def test_no_sideways_scrolling_on_a_small_screen(tab: Any, saved: Path) -> None:
    open_page(tab, saved)
    for view in VIEWS:
        show(tab, view)
        tab.locator(f"#view-{view} summary").click()
    assert tab.evaluate("() => document.documentElement.scrollWidth") <= 320


@pytest.mark.parametrize("tab", [{"reduced_motion": "reduce"}, {}], indirect=True)
def test_motion_is_reduced_on_request(tab: Any, saved: Path) -> None:
    open_page(tab, saved)
    reduced = tab.evaluate(
        "() => matchMedia('(prefers-reduced-motion: reduce)').matches"
    )
    behavior = tab.evaluate(
        "() => getComputedStyle(document.documentElement).scrollBehavior"
    )
    assert behavior == ("auto" if reduced else "smooth")


ODD = {
    "one axis": (nn.Conv1d(2, 3, 3, padding=1), (12,)),
    "even": (nn.Conv2d(1, 2, (2, 4), padding=1, padding_mode="reflect"), (6, 7)),
    "strided": (nn.Conv2d(2, 4, 3, stride=2, dilation=2, groups=2), (9, 8)),
    "replicate": (nn.Conv2d(1, 1, 3, padding=2, padding_mode="replicate"), (5, 5)),
    "one tap": (nn.Conv2d(3, 2, 1), (4, 4)),
    "quoted only": (nn.Conv2d(400, 1, 15, padding=7), (17, 17)),
}


@pytest.mark.parametrize("name", ODD)
def test_every_layer_has_a_page(name: str, tab: Any, tmp_path: Path) -> None:
    conv, size = ODD[name]
    subject = Subject.of("odd", name, conv, torch.randn(conv.in_channels, *size))
    settings = Settings(alphas=(4.0,))
    page = Page(Scene((LayerScene.of(subject, settings),), []))
    path = page.save(tmp_path / "page.html")
    open_page(tab, path)
    views = [view for view in VIEWS if view != "limits"]
    assert tab.locator("section").count() == len(views)
    for view in views:
        show(tab, view)
        assert tab.locator(f"#view-{view} .claim").inner_text()
        assert "NaN" not in tab.locator(f"#view-{view}").inner_text()
    change_alpha(tab, 4)
    assert tab.messages == []
    quoted = tab.locator("#view-error dd[data-kind=quoted]")
    show(tab, "error")
    assert float(quoted.first.get_attribute("data-value")) >= 0
    live = tab.locator("#view-error dd[data-kind=live]").count()
    assert live == (0 if name == "quoted only" else 4)
    note = tab.locator("#bar .note").inner_text()
    assert ("too large to be live" in note) == (name == "quoted only")
