"""The page: one HTML file with everything in it, which asks no server for anything.

The modules of ``page/`` are ordinary files with names such as ``#math/softmax``. They
are put into an import map of ``data:`` addresses: a browser finds them without a
server, and Node finds the same files in the folder.
"""

import json
from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from expressivity.errors import FileError
from expressivity.explorer.document import ConvAndImage, from_json
from expressivity.explorer.scene import Scene
from expressivity.machine.files import check_input, written_together
from expressivity.results import Result

FOLDER = Path(__file__).parent / "page"
_START = '<script type="application/json" id="scene">'
_END = "</script>"
_FRAME = 900  # pixels of height in a notebook


class Page(Result):
    """A page that shows layers as attention, live.

    Attributes:
        scene: What it knows.

    Example:
        >>> import torch
        >>> from expressivity import explore
        >>> conv, x = torch.nn.Conv2d(1, 1, 3), torch.rand(1, 1, 6, 6)
        >>> page = explore(conv, x, families=())
        >>> page.html.startswith("<!doctype html>")
        True
    """

    def __init__(self, scene: Scene) -> None:
        """Make a page of a scene."""
        self.scene = scene
        self.html = html(scene.to_dict())

    def __repr__(self) -> str:
        names = ", ".join(layer.whole.name for layer in self.scene.layers)
        return f"{type(self).__name__}({names}; {len(self.html) / 2**20:.2f} MiB)"

    def __str__(self) -> str:
        return f"{self!r}: save(path) writes it, open it in any browser"

    def _repr_html_(self) -> str:
        """Show the page in a frame."""
        return (
            f'<iframe srcdoc="{escape(self.html)}" title="Explorer" width="100%" '
            f'height="{_FRAME}" style="border: 0"></iframe>'
        )

    def save(self, path: str | Path) -> Path:
        """Write the page, whole or not at all.

        Args:
            path: The file; replaced if it exists.

        Returns:
            The file.

        Raises:
            FileError: If it cannot be written.
        """
        with written_together([Path(path)], force=True) as [draft]:
            draft.write_text(self.html, encoding="utf-8")
        return Path(path)


def read(path: str | Path) -> dict[str, ConvAndImage]:
    """Return the layers of a page that was saved, with their images.

    Args:
        path: The file.

    Returns:
        A convolution and an image a layer, by its name.

    Raises:
        FileError: If it cannot be read, or is no such page.
    """
    check_input(Path(path))
    try:
        text = Path(path).read_text(encoding="utf-8")
        start = text.index(_START) + len(_START)
        scene = json.loads(text[start : text.index(_END, start)])
        return {layer["name"]: from_json(layer) for layer in scene["layers"]}
    except (OSError, ValueError, KeyError) as error:
        raise FileError(
            f"{path} needs to be a page that explore() or expressivity explore wrote, "
            f"got something else ({type(error).__name__}: {error})"
        ) from error


def html(scene: Mapping[str, Any]) -> str:
    """Return the page for a scene as JSON has it.

    Args:
        scene: What :meth:`Scene.to_dict` returned.

    Returns:
        HTML.
    """
    titles = " and ".join(layer["title"] for layer in scene["layers"][:1])
    # A script ends at the first "</", wherever that stands.
    data = json.dumps(scene, separators=(",", ":"), allow_nan=False).replace(
        "<", "\\u003c"
    )
    return Template((FOLDER / "index.html").read_text(encoding="utf-8")).substitute(
        title=escape(f"{titles}: a convolution is attention"),
        style=(FOLDER / "style.css").read_text(encoding="utf-8"),
        modules=_import_map(),
        scene=f"{_START}{data}{_END}",
    )


@cache
def _import_map() -> str:
    """Return all modules as an import map of ``data:`` addresses."""
    addresses = {}
    for path in sorted(FOLDER.rglob("*.js")):
        place = path.relative_to(FOLDER).with_suffix("").as_posix()
        name = f"#{place}" if "/" in place else f"#page/{place}"
        code = b64encode(path.read_bytes()).decode("ascii")
        addresses[name] = f"data:text/javascript;charset=utf-8;base64,{code}"
    return json.dumps({"imports": addresses}, separators=(",", ":"))
