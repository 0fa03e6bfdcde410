"""Set-up of every test: shape checks, markers, seeds, hypothesis profiles."""

import sys
from collections.abc import Iterator

import pytest
import torch
from hypothesis import settings

from tests import shape_checker

# How many random cases a law is shown, decided here and nowhere else: some with every
# change, more in `make laws`, new ones each time with --hypothesis-profile fuzz. No
# profile has deadlines: the first call under the shape checker is slow.
settings.register_profile("default", deadline=None, max_examples=40, derandomize=True)
settings.register_profile("thorough", deadline=None, max_examples=200, derandomize=True)
settings.register_profile("fuzz", deadline=None, max_examples=2000, print_blob=True)
settings.load_profile("default")


def pytest_configure(config: pytest.Config) -> None:
    """Check the shapes in the package's annotations while tests run."""
    # Torch says once that an even kernel needs one copy of the input more.
    config.addinivalue_line(
        "filterwarnings", "ignore:Using padding='same' with even kernel:UserWarning"
    )
    torch.set_num_threads(1)  # tests are small, and run side by side
    if _under_shape_checker(config):
        if "expressivity" in sys.modules:
            raise pytest.UsageError(
                "expressivity was imported before tests/conftest.py: its shapes "
                "would go unchecked"
            )
        shape_checker.install("expressivity")


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Skip what this machine, or this selection of tests, cannot run."""
    skips = {
        "compiled": (
            _under_shape_checker(config),
            "torch.compile does not mix with the shape checker: pytest -m compiled",
        ),
        "gpu": (not torch.cuda.is_available(), "needs CUDA"),
        "mutants": (
            config.option.markexpr != "mutants",
            "every edit of every formula takes minutes: make mutants",
        ),
        "atlas": (
            config.option.markexpr != "atlas",
            "every family against twenty convolutions takes minutes: make atlas",
        ),
        "training": (
            config.option.markexpr != "training",
            "training networks over five seeds takes minutes: make training",
        ),
        "notebooks": (
            config.option.markexpr != "notebooks",
            "executing every notebook takes minutes: make notebooks",
        ),
        "docs": (
            config.option.markexpr != "docs",
            "needs the documentation site: make docs, then pytest -m docs tests/docs",
        ),
        "zoo": (
            config.option.markexpr != "zoo",
            "hundreds of networks of other libraries take most of an hour: make zoo",
        ),
    }
    for item in items:
        for marker, (skipped, reason) in skips.items():
            if skipped and item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    """Seed torch for the test, whatever ran before it in the same process."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@pytest.fixture(autouse=True)
def _without_graphs(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let the compiler forget all graphs around a test: it keeps eight a function."""
    compiles = request.node.get_closest_marker("compiled") is not None
    if compiles:
        torch.compiler.reset()
    yield
    if compiles:
        torch.compiler.reset()


def _under_shape_checker(config: pytest.Config) -> bool:
    return bool(config.option.markexpr != "compiled")
