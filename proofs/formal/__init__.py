"""The Coq development beside the derivations: which statement it proves, and on what.

``development`` reads the sources in ``proofs/coq`` and what Coq printed about them,
``reliance`` says which public function rests on which statement, and ``table`` writes
down who proves what. Nothing here needs Coq; ``make coq`` runs it.
"""

from proofs.formal.development import FOLDER, Theorem, files, find, theorems
from proofs.formal.reliance import FAMILIES, FUNCTIONS, MAIN
from proofs.formal.table import TABLE, write_table

__all__ = [
    "FAMILIES",
    "FOLDER",
    "FUNCTIONS",
    "MAIN",
    "TABLE",
    "Theorem",
    "files",
    "find",
    "theorems",
    "write_table",
]
