"""What the documents tell a reader to type does what it says."""

import re
from pathlib import Path

import pytest
import torch
from torch import nn

import expressivity as ex
from tests import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
ATLAS = (ROOT / "docs" / "lookup" / "atlas.md").read_text(encoding="utf-8")
# The page about other libraries has tests of its own.
PAGES = [
    page
    for page in sorted((ROOT / "docs").rglob("*.md"))
    if "```python" in page.read_text(encoding="utf-8") and page.stem != "take_home"
]
CALLS = re.findall(
    r"`(ex\.[^`]+|attention[.(][^`]+|conversion\.[^`]+)`",
    (ROOT / "docs" / "lookup" / "cheat_sheet.md").read_text(encoding="utf-8"),
)


def blocks(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, object]:
    """What a reader has made before, in a folder of its own for what is written."""
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    conv = nn.Conv2d(3, 4, 3, padding=1)
    model = nn.Sequential(conv, nn.ReLU(), nn.Conv2d(4, 2, 1))
    return {
        "ex": ex,
        "conv": conv,
        "model": model,
        "x": torch.rand(1, 3, 32, 32),
        "__name__": "example",
    }


def test_three_lines_convert_a_convolution(capsys: pytest.CaptureFixture[str]) -> None:
    first = blocks(README)[0]
    assert len(first.splitlines()) == 3
    exec(first, {})
    printed = re.search(r"tensor\(([^,)]*)", capsys.readouterr().out)
    assert printed is not None
    assert float(printed[1]) < 1e-6


def test_every_line_of_the_tour_runs(names: dict[str, object]) -> None:
    (tour,) = blocks(README)[1:]
    assert len(tour.splitlines()) == 5
    x = torch.rand(1, 3, 8, 8)
    exec(
        tour.replace("ex.explore(conv, x)", "ex.explore(conv, x, families=())"),
        {**names, "x": x},
    )
    assert Path("page.html").exists()
    assert Path("attention", "README.md").exists()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_code_of_a_page_runs_from_top_to_bottom(
    page: Path, names: dict[str, object]
) -> None:
    text = page.read_text(encoding="utf-8").replace("steps=300", "steps=3")
    if "<!-- include: README.md three-lines -->" in text:
        exec(blocks(README)[0], names)
    for number, block in enumerate(blocks(text), start=1):
        exec(compile(block, f"{page.name}, block {number}", "exec"), names)
    assert names["ex"] is ex


@pytest.mark.parametrize("call", dict.fromkeys(CALLS))
def test_a_call_of_the_cheat_sheet_runs(call: str, names: dict[str, object]) -> None:
    names["x"] = torch.rand(1, 3, 12, 12)
    small = {
        "(32, 32)": "(12, 12)",
        "(16, 16)": "(6, 6)",
        "conv, x)": "conv, x, families=())",
    }
    if call.startswith("ex.explore"):
        call = call.replace("conv, x)", small["conv, x)"])
    for large, less in list(small.items())[:2]:
        call = call.replace(large, less)
    conv, model = names["conv"], names["model"]
    names |= {"first": conv, "second": ex.attention_from_conv(conv)}
    names |= {"attention": names["second"], "conversion": ex.convert(model)}
    names["conversion"].save("folder", force=True) if "load" in call else None
    assert eval(call, names) is not None or "save" in call


def test_inputs_of_the_witnesses_are_as_large_as_is_said() -> None:
    one, few = map(float, re.findall(r"within ±([\d.]+)", ATLAS))
    large = {"mixer", "feed-forward-only"}
    for name, family in ex.atlas.FAMILIES.items():
        if family.refuter is not None:
            sample = family.fails()
            witness = family.refute(sample.conv.double(), sample.size)
            assert witness.input_bound <= (few if name in large else one)


@pytest.mark.parametrize("target", re.findall(r"^make (\w+)", README, re.MULTILINE))
def test_make_knows_the_commands(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("link", re.findall(r"\]\((?!http)([^)#]+)\)", README))
def test_links_lead_somewhere(link: str) -> None:
    assert (ROOT / link).exists()
