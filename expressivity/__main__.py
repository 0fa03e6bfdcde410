"""``python -m expressivity`` and the ``expressivity`` command."""

import sys

from expressivity.cli import app
from expressivity.cli.process import prepare


def main() -> None:
    """Run the command line."""
    prepare()
    try:
        app(prog_name="expressivity")
    finally:
        # What a model's code still prints at exit is no result.
        sys.stdout = sys.stderr


if __name__ == "__main__":
    main()
