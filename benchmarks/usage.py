"""What a command without options says to ``--help``, and to anything else."""

from argparse import ArgumentParser, RawDescriptionHelpFormatter


def take_no_arguments(document: str | None) -> None:
    """Print the documentation and exit if help is wanted; refuse other arguments."""
    ArgumentParser(
        description=document, formatter_class=RawDescriptionHelpFormatter
    ).parse_args()
