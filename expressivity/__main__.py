"""``python -m expressivity`` and the ``expressivity`` command."""

from expressivity.cli import app


def main() -> None:
    """Run the command line."""
    app(prog_name="expressivity")


if __name__ == "__main__":
    main()
