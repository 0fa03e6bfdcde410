"""Tables for a terminal keep every cell at every width."""

import ast
import io
import random
import re
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

import expressivity
from expressivity.cli import app
from expressivity.listing import Listing
from tests.user_project import UserProject

WIDTHS = (40, 41, 48, 60, 61, 79, 80, 100, 132, 200)
SOURCES = sorted(Path(expressivity.__file__).parent.rglob("*.py"))


def shown(table: Listing, width: int) -> str:
    console = Console(
        file=io.StringIO(), width=width, color_system=None, force_jupyter=False
    )
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= width
    return text


def listing(seed: int) -> tuple[Listing, list[str], list[str]]:
    """Return a random table, its words, and the names in the column that folds."""
    numbers = random.Random(seed)

    def word(largest: int) -> str:
        length = numbers.randint(1, largest)
        return "".join(numbers.choices("abcdefghijk0123456789.×", k=length))

    def cell() -> str:
        return " ".join(word(10) for _ in range(numbers.randint(0, 4)))

    table = Listing(title="what it is of", caption="what it is in")
    table.add_column("layer", overflow="fold")
    headers = [f"{word(8)} {word(8)}" for _ in range(numbers.randint(0, 7))]
    for header in headers:
        table.add_column(header, justify=numbers.choice(["left", "right"]))
    words, names = [*" ".join(headers).split(), "layer", "of", "in"], []
    for _ in range(numbers.randint(1, 4)):
        names.append(word(60))
        row = [cell() for _ in headers]
        words += " ".join(row).split()
        table.add_row(names[-1], *row)
    return table, words, names


@pytest.mark.parametrize("seed", range(40))
def test_no_width_loses_a_word(seed: int) -> None:
    table, words, names = listing(seed)
    for width in WIDTHS:
        text = shown(table, width)
        assert "…" not in text
        for word in words:
            assert re.search(rf"(?<![^\s│┃]){re.escape(word)}(?![^\s│┃])", text), width
        for character in set("".join(names)):  # names are folded, not cut
            assert text.count(character) >= "".join(names).count(character)


def test_what_fits_is_laid_out_side_by_side() -> None:
    table = Listing("layer", "largest error")
    table.add_row("stem", "1.2e-07")
    wide, narrow = shown(table, 40), shown(table, 22)
    assert "largest error" in wide
    assert len(wide.splitlines()) == 5
    assert len(narrow.splitlines()) == 6  # the header breaks between its words
    assert "stem" in narrow
    assert shown(table, 40) == wide  # what it was shown in before leaves no trace


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_commands_show_every_column(
    width: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    UserProject.create(tmp_path, monkeypatch)
    models, columns = "user_models:build", {"COLUMNS": str(width)}
    commands = {
        ("sweep", "--points", "2"): "α [1/px²] measured first order worst case",
        ("convert", models, "--input", "2x3x9x7", "--output", "out.safetensors"): (
            "layer status kernel heads α [1/px²] worst case stem deep last "
            "inputs count largest difference output relative random,"
        ),
        ("certify", models, "--input", "2x3x9x7"): (
            "layer size certified exact part attained measured stem deep last"
        ),
    }
    for arguments, words in commands.items():
        result = CliRunner().invoke(app, arguments, env=columns)
        assert result.exit_code == 0, result.output
        for word in words.split():
            assert word in result.stdout, (arguments, width, result.stdout)
        assert "…" not in result.stdout


def test_every_table_is_one_that_keeps_its_cells() -> None:
    for path in SOURCES:
        calls = {
            ast.unparse(node.func)
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Call)
        }
        if path.name != "listing.py" and "from rich" in path.read_text("utf-8"):
            assert not calls & {"Table", "Table.grid"}, path
