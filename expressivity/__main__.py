"""``python -m expressivity`` and the ``expressivity`` command."""

import io
import sys
import traceback

from expressivity.cli import app

CRASHED = 70  # neither a claim that does not hold (1) nor bad input (2)


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal without α shows a question mark rather than a traceback.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        app(prog_name="expressivity")
    except Exception:
        traceback.print_exc()
        sys.exit(CRASHED)


if __name__ == "__main__":
    main()
