"""The examples of docs/do/take_home.md, with the libraries that they are about."""

import re
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests import ROOT

PAGE = (ROOT / "docs" / "do" / "take_home.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
LIBRARIES = (
    *("captum", "fvcore", "huggingface_hub", "peft", "pytorch_grad_cam"),
    *("sklearn", "timm", "transformers"),
)


def needed(block: str) -> list[str]:
    """Return the libraries that a block imports and that are not here."""
    names = re.findall(r"^(?:from|import) (\w+)", block, re.MULTILINE)
    missing = [n for n in names if n in LIBRARIES and find_spec(n) is None]
    compiler = shutil.which("g++") or "aoti_" not in block
    return missing if compiler else [*missing, "g++"]


def test_the_page_has_its_examples() -> None:
    text = "\n".join(BLOCKS)
    for name in ("ex.load", "PyTorchModelHubMixin", "save_pretrained", "peft", "GPSA"):
        assert name in text


@pytest.mark.compiled
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("place", range(len(BLOCKS)))
def test_an_example_runs_as_it_stands(
    place: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if missing := needed(BLOCKS[place]):
        pytest.skip(f"needs {', '.join(missing)}: make zoo")
    monkeypatch.chdir(tmp_path)
    scope: dict[str, object] = {"__name__": "example"}
    exec(compile(BLOCKS[place], f"docs/do/take_home.md, block {place}", "exec"), scope)
    assert scope
