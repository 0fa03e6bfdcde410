"""What tests do with a page in a browser."""

from pathlib import Path
from typing import Any

VIEWS = [
    "head",
    "kernel",
    "error",
    "identity",
    "borders",
    "worst",
    "limits",
    "heads",
    "training",
]


def open_page(tab: Any, path: Path, state: str = "") -> None:
    tab.goto(f"{path.as_uri()}#{state}")
    tab.wait_for_selector("#verdict[data-count]")
    tab.wait_for_function(
        "() => [...document.querySelectorAll('section pre')].every("
        "code => code.textContent)"
    )


def show(tab: Any, view: str) -> None:
    """Scroll to a view, and wait until it is drawn."""
    tab.evaluate(
        "id => document.getElementById(id).scrollIntoView({ behavior: 'instant' })",
        f"view-{view}",
    )
    tab.wait_for_function(
        "id => document.querySelector(`#${id} pre`).textContent", arg=f"view-{view}"
    )
    settle(tab)


def settle(tab: Any) -> None:
    """Wait for two frames, and until screen and address show the latest state."""
    tab.evaluate(
        "() => new Promise(done => requestAnimationFrame(() => "
        "requestAnimationFrame(done)))"
    )
    tab.wait_for_function(
        "() => [...document.querySelectorAll('section[data-stale]')].every(section => {"
        "const { top, bottom } = section.getBoundingClientRect();"
        "return bottom <= 0 || top >= innerHeight; })"
        " && !document.querySelector('[data-unsaved]')"
    )


def numbers(tab: Any, view: str) -> list[float]:
    found = tab.eval_on_selector_all(
        f"#view-{view} dd", "all => all.map(each => each.dataset.value)"
    )
    return [float(value) if value else float("nan") for value in found]


def change_alpha(tab: Any, alpha: float) -> None:
    tab.locator("#bar input[type=number] >> nth=-1").fill(str(alpha))
    tab.keyboard.press("Enter")
    settle(tab)
