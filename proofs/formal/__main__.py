"""Write the table of theorems: ``python -m proofs.formal``, as ``make coq`` does."""

from proofs.formal.table import TABLE, write_table


def main() -> None:
    """Write the table."""
    new = TABLE.with_suffix(".new")
    new.write_text(write_table(), encoding="utf-8")
    new.replace(TABLE)


if __name__ == "__main__":
    main()
