"""Where each page stands: sections in the words of a reader, and what a page holds."""

from notebooks.source import SOURCES

NOTEBOOKS = tuple(f"learn/{path.stem}" for path in SOURCES)

SECTIONS: dict[str, tuple[str, ...]] = {
    "Start": ("start/two_minutes", "start/theorem", "start/explorer"),
    "Learn": ("learn/index",),
    "Do": (
        "do/convert",
        "do/alpha",
        "do/certify",
        "do/fast",
        "do/train",
        "do/take_home",
    ),
    "Understand": (
        "understand/smoothing",
        "understand/borders",
        "understand/exact_and_limit",
        "understand/cost",
        "understand/proofs",
        "understand/certificates",
        "understand/training",
        "understand/decisions",
    ),
    "Look up": (
        "lookup/cheat_sheet",
        "lookup/api/index",
        "lookup/command_line",
        "lookup/errors",
        "lookup/atlas",
        "lookup/glossary",
    ),
    "Proofs": ("proofs/index", "proofs/coq/index"),
    "About": (
        "about/limitations",
        "about/numbers",
        "about/changelog",
        "about/citing",
        "about/contributing",
        "about/architecture",
    ),
}
"""Pages by the question that a reader has."""

# Documents that stand elsewhere in the repository, and the pages that they become.
DOCUMENTS = {
    "README.md": "index.md",
    "CHANGELOG.md": "about/changelog.md",
    "CONTRIBUTING.md": "about/contributing.md",
    "ARCHITECTURE.md": "about/architecture.md",
    "notebooks/README.md": "learn/index.md",
    "proofs/coq/README.md": "proofs/coq/index.md",
    "proofs/coq/THEOREMS.md": "proofs/coq/theorems.md",
    **{f"notebooks/{path.stem}.ipynb": f"learn/{path.stem}.ipynb" for path in SOURCES},
}
