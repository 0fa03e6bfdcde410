"""The version is known wherever the source is, installed or not."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import expressivity
from tests import ROOT

CERTIFIED = """
from importlib.metadata import PackageNotFoundError, version
try:
    raise SystemExit(f"{version('attention-expressivity')} is installed: no test")
except PackageNotFoundError:
    pass
import torch, expressivity as ex
conv = torch.nn.Conv1d(1, 1, 1)
print(ex.certify(ex.attention_from_conv(conv), conv).made_by)
"""


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert expressivity.__version__ == project["version"]


def test_a_bare_source_tree_certifies(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "expressivity", tmp_path / "source" / "expressivity")
    # The other packages, without what says that this one is installed.
    (tmp_path / "packages").mkdir()
    for path in sys.path:
        for entry in Path(path).glob("*") if path.endswith("site-packages") else ():
            if "expressivity" not in entry.name:
                (tmp_path / "packages" / entry.name).symlink_to(entry)
    search = [str(tmp_path / "source"), str(tmp_path / "packages")]
    command = f"import sys; sys.path = {search!r} + sys.path\n{CERTIFIED}"
    done = subprocess.run(
        [sys.executable, "-S", "-c", command],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.stdout == f"expressivity {expressivity.__version__}\n", done.stderr
