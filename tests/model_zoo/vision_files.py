"""Which networks of transformers take an image, to see that none is forgotten."""

import importlib
from pathlib import Path


def vision_files() -> dict[str, list[str]]:
    """Return the networks that take an image or a video, by the file that has them.

    Only files with convolutions of their own count, and only public networks.
    """
    library = importlib.import_module("transformers")
    files = {}
    for path in sorted(Path(library.__file__).parent.glob("models/*/modeling_*.py")):
        if "nn.Conv" in path.read_text():
            name = f"transformers.models.{path.parent.name}.{path.stem}"
            try:
                module = importlib.import_module(name)
            except ImportError:  # of a library that is missing
                continue
            files[path.stem.removeprefix("modeling_")] = [
                name
                for name, kind in vars(module).items()
                if isinstance(kind, type)
                and issubclass(kind, library.PreTrainedModel)
                and kind.__module__ == module.__name__
                and kind.main_input_name in ("pixel_values", "pixel_values_videos")
                and hasattr(library, name)
            ]
    return {file: names for file, names in files.items() if names}
