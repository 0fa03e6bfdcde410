"""The names of the files in a folder. Nothing here imports torch."""

CONFIG, WEIGHTS, CERTIFICATES = "config.json", "model.safetensors", "certificates.json"
CONVOLUTIONS, PROGRAM, CARD = "convolutions.safetensors", "program.pt2", "README.md"


def written(*, program: bool = False) -> tuple[str, ...]:
    """Return the files of a folder in the order in which they are written.

    Args:
        program: Whether the network is stored as a program as well.

    Returns:
        Their names; the document comes last, as it states what the others hold.

    Example:
        >>> written()[-1]
        'config.json'
    """
    middle = (PROGRAM,) if program else ()
    return (WEIGHTS, CONVOLUTIONS, CERTIFICATES, *middle, CARD, CONFIG)
