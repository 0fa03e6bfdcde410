"""Build the documentation site: ``python -m docs``.

Writes the pages into ``build/docs``, for any browser and without a network.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial

from docs.building import api, command_line, coq, statements
from docs.building.documents import EXPLORER, FOLDER, ROOT, Site, hand_written
from docs.building.navigation import NOTEBOOKS, SECTIONS
from docs.building.polish import polish

OUTPUT, SOURCES = ROOT / "build" / "docs", ROOT / "build" / "docs-sources"


def generated(development: coq.Development) -> Iterator[tuple[str, str]]:
    """Write the pages that no document holds.

    Args:
        development: The Coq files.

    Yields:
        Paths below the root of the site, and MyST.
    """
    theorems = development.theorems()
    yield from api.pages(theorems)
    yield from statements.pages(theorems)
    yield from development.pages()
    yield from command_line.pages()


def documents(development: coq.Development) -> Iterator[tuple[str, str]]:
    """Turn the documents of the repository into pages.

    Args:
        development: The Coq files.

    Yields:
        Paths below the root of the site, and MyST.
    """
    places = hand_written()
    site = Site(places, development.theorem)
    after = {
        "index.md": "\n\n".join(
            api.toctree(pages, caption) for caption, pages in SECTIONS.items()
        ),
        "learn/index.md": api.toctree([name.partition("/")[2] for name in NOTEBOOKS]),
        "proofs/coq/index.md": development.notice() + development.contents(),
    }
    for path, place in places.items():
        if path != "README.md" and not place.endswith(".png"):
            yield place, f"{site.page(path)}\n{after.get(place, '')}"


def write(pages: Iterator[tuple[str, str]]) -> None:
    """Write pages into the folder that Sphinx reads."""
    for place, text in pages:
        path = SOURCES / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def copy_files() -> None:
    """Copy pictures, settings and what lies beside them."""
    for path, place in hand_written().items():
        if place.endswith(".png"):
            (SOURCES / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / path, SOURCES / place)
    shutil.copyfile(FOLDER / "conf.py", SOURCES / "conf.py")
    shutil.copytree(FOLDER / "static", SOURCES / "static")
    command_line.write_schemas(SOURCES / "lookup" / "schemas")


def main() -> int:
    """Build the site.

    Returns:
        0 if nothing was wrong, else the status of what failed.
    """
    parser = argparse.ArgumentParser("python -m docs", description=__doc__)
    parser.add_argument(
        "--keep-explorer",
        action="store_true",
        help="do not compute the explorer's page again, which takes a minute",
    )
    options = parser.parse_args()
    start = time.perf_counter()
    kept = OUTPUT / EXPLORER
    explorer = None
    page = SOURCES.with_name(EXPLORER)
    page.parent.mkdir(exist_ok=True)
    if not (options.keep_explorer and page.exists()):
        command = ["-m", "expressivity", "explore", "--output", str(page), "--force"]
        # Beside Sphinx, a second thread would only wait for the first.
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        explorer = subprocess.Popen([sys.executable, *command], env=environment)
    for folder in (SOURCES, OUTPUT):
        shutil.rmtree(folder, ignore_errors=True)
    told = partial(tell, time.perf_counter())
    development = coq.Development.read()
    told("Coq")
    if not development.bodies:
        print(f"left out: the sources of the Coq theorems. {development.reason}")
    copy_files()
    write(generated(development))
    told("pages")
    write(documents(development))
    status = sphinx()
    told("Sphinx")
    if explorer is not None and explorer.wait():
        return explorer.returncode
    if not status:
        polish(OUTPUT)
        shutil.copyfile(page, kept)
        print(f"built in {time.perf_counter() - start:.0f} s: {OUTPUT / 'index.html'}")
    return status


def tell(start: float, what: str) -> None:
    """Say how long it took to come so far."""
    print(f"{time.perf_counter() - start:5.0f} s  {what}", flush=True)


def sphinx() -> int:
    """Run Sphinx, and take warnings for errors."""
    doctrees = SOURCES.with_name("docs-trees")
    shutil.rmtree(doctrees, ignore_errors=True)
    options = ["-b", "html", "-q", "-W", "--keep-going", "-j", "2", "-d", str(doctrees)]
    command = [sys.executable, "-m", "sphinx", *options, str(SOURCES), str(OUTPUT)]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
