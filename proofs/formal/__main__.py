"""Write the table of theorems: ``python -m proofs.formal``, as ``make coq`` does."""

import sys

from proofs.formal.table import TABLE, write_table


def main() -> int:
    """Write the table.

    Returns:
        0 if it was up to date, else 1: a change is to be looked at and committed.
    """
    old = TABLE.read_text(encoding="utf-8") if TABLE.exists() else ""
    new = write_table()
    TABLE.write_text(new, encoding="utf-8")
    if new == old:
        return 0
    sys.stderr.write(f"{TABLE.name} has changed: look at it, and commit it\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
