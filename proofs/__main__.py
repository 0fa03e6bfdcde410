"""Check every statement: ``python -m proofs``."""

import argparse
import sys
from collections.abc import Sequence

try:
    from rich.console import Console

    from proofs.catalogue import NAMES, statement
    from proofs.document import FORMATS, write
    from proofs.document.terminal import show_derivation, show_table
except ModuleNotFoundError as error:
    sys.exit(
        f"error: the proofs need {error.name}, which is not installed: type "
        "make proofs, or pip install '.[proofs]', in a clone of the repository"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Check statements and print a table, or write a document.

    Args:
        arguments: Of the command line; by default its own.

    Returns:
        0 if every step is proved and every control refuted, else 1.
    """
    options = _parser().parse_args(arguments)
    names = [options.only] if options.only else NAMES
    outcomes = [statement(name).check() for name in names]
    failed = [o for o in outcomes if not (o.proved and o.controlled)]
    if options.format:
        sys.stdout.write(write(outcomes, options.format))
    else:
        console = Console(highlight=False)
        for outcome in outcomes if options.only else failed:
            show_derivation(outcome, console)
        show_table(outcomes, console)
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m proofs", description=__doc__)
    parser.add_argument(
        "--only",
        metavar="NAME",
        choices=NAMES,
        help="One statement, step by step: %(choices)s.",
    )
    parser.add_argument(
        "--format",
        choices=FORMATS,
        help="Write a document to standard output instead of the table.",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
