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

_SCRIPT = """
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
const { layerOf, evaluate } = await import(pathToFileURL(process.argv[1] + '/decode.js'));
const cases = JSON.parse(readFileSync(0, 'utf8'));
const results = cases.map(({ layer, state, reading }) => {
  try {
    return evaluate(layer.image ? layerOf(layer) : {}, state, reading);
  } catch (error) {
    return { error: String(error) };
  }
});
const text = (_, value) => (Number.isFinite(value) || typeof value !== 'number'
  ? value : String(value));
process.stdout.write(JSON.stringify(results, text));
"""


def evaluated(cases: Sequence[Case], folder: Path = FOLDER) -> list[dict[str, Any]]:
    """Return what the page computes in each case."""
    run = subprocess.run(
        [str(NODE), "--input-type=module", "-e", _SCRIPT, str(folder)],
        input=json.dumps([case.to_dict() for case in cases]),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    results: list[dict[str, Any]] = json.loads(run.stdout)
    return results
