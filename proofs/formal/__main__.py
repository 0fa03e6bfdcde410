"""Write the table of theorems: ``python -m proofs.formal``, as ``make coq`` does."""

import argparse

from proofs.formal.table import TABLE, write_table


def main() -> None:
    """Write the table."""
    argparse.ArgumentParser(
        prog="python -m proofs.formal", description=__doc__
    ).parse_args()
    new = TABLE.with_suffix(".new")
    new.write_text(write_table(), encoding="utf-8")
    new.replace(TABLE)


if __name__ == "__main__":
    main()
