"""The browser of the tests of pages."""

from tests.browser import chromium, tab  # noqa: F401 - fixtures
