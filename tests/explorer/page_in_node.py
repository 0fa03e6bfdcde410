"""The page's own functions, run by Node."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from expressivity.explorer.page import FOLDER
from tests.explorer.states import Case

NODE = shutil.which("node")
needs_node = pytest.mark.skipif(
    NODE is None, reason="needs Node 20 or newer: apt-get install nodejs"
)

_EVALUATE = """
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
const [folder, file] = process.argv.slice(1);
const decode = pathToFileURL(folder + '/decode.js');
const { layerOf, evaluate } = await import(decode);
const cases = JSON.parse(readFileSync(file, 'utf8'));
const compute = ({ layer, state, reading }) =>
  evaluate(layer.image ? layerOf(layer) : {}, state, reading);
"""
_ALL = """
const text = (_, value) =>
  typeof value === 'number' && !Number.isFinite(value) ? String(value) : value;
process.stdout.write(JSON.stringify(cases.map(compute), text));
"""
# Ends at the first number that is not the package's.
_AGREES = """
for (const each of cases) {
  const found = compute(each);
  for (const [name, value] of Object.entries(each.expected)) {
    const size = Math.max(Math.abs(value), each.level);
    if (!(Math.abs(found[name] - value) <= 1e-12 * size)) process.exit(3);
  }
}
"""


def evaluated(cases: Path, folder: Path = FOLDER) -> list[dict[str, Any]]:
    """Return what the page computes in each case."""
    run = _run(_ALL, cases, folder)
    assert run.returncode == 0, run.stderr
    results: list[dict[str, Any]] = json.loads(run.stdout)
    return results


def agrees(cases: Path, folder: Path) -> bool:
    """Whether modules in a folder compute the package's numbers in every case."""
    try:
        return _run(_AGREES, cases, folder).returncode == 0
    except subprocess.TimeoutExpired:  # an edited loop
        return False


def written(cases: Sequence[Case], path: Path) -> Path:
    """Write cases for Node."""
    path.write_text(json.dumps([case.to_dict() for case in cases]))
    return path


def _run(script: str, cases: Path, folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(NODE), "--input-type=module", "-e", _EVALUATE + script, folder, cases],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
