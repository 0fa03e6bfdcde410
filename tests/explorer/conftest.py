"""A small page, and a browser to open it with."""

from pathlib import Path
from typing import Any

import pytest

from tests.browser import chromium, tab  # noqa: F401 - fixtures


@pytest.fixture(scope="session")
def page() -> Any:
    # Not before the shape checker is in place.
    from tests.explorer.pages import make

    return make()


@pytest.fixture(scope="session")
def saved(page: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return page.save(tmp_path_factory.mktemp("page") / "page.html")
