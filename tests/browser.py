"""A browser for the tests of pages."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Start Debian's Chromium; skip where there is none, or no Playwright."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="needs Playwright: pip install playwright"
    )
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("needs a browser: apt-get install chromium")
    with playwright.sync_playwright() as engine:
        # Containers run tests as root, for whom Chromium has no sandbox.
        browser = engine.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def tab(chromium: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    """Open an empty tab; a test may choose its options by a parameter."""
    options = {"viewport": {"width": 1280, "height": 900}}
    context = chromium.new_context(**{**options, **getattr(request, "param", {})})
    tab = context.new_page()
    tab.messages, tab.requests = [], []
    tab.on("console", lambda message: tab.messages.append(message.text))
    tab.on("pageerror", lambda error: tab.messages.append(str(error)))
    tab.on("request", lambda asked: tab.requests.append(asked.url))
    yield tab
    context.close()
