"""What is imported, and when: nobody waits for libraries that nothing needs yet."""

import subprocess
import sys
from pathlib import Path

import pytest
from torch import nn

import expressivity
from expressivity import public
from expressivity.cli.app import COMMANDS

HEAVY = {"torch", "numpy", "scipy", "flint", "matplotlib", "sklearn", "sympy"}
TRACERS = {"sympy", "torch._dynamo", "torch._inductor"}
CONVERSIONS = (
    "ex.attention_from_conv(conv)(x)",
    "ex.attention_from_conv(conv, head_dim=1)",
    "ex.attention_from_conv(conv, tolerance=1e-3)(x).sum().backward()",
    "ex.attention_from_conv(conv, heads='minimal')(x)",
    "ex.attention_from_conv(conv, alpha=3.0, rings=1)(x)",
    "ex.conv_from_attention(ex.attention_from_conv(conv))",
    "ex.convert(torch.nn.Sequential(conv), inputs=x)",
    "ex.certify(ex.attention_from_conv(conv), conv)",
    "ex.RelativeSelfAttention(2, 2, geometry, num_heads=4, device='meta')",
)


def imported(code: str) -> set[str]:
    """Return the modules that a new interpreter has imported after some code."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"{code}\nimport sys; print('imported modules:', *sys.modules)",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # A command leaves standard output to its results, and all else to standard error.
    printed = done.stdout + done.stderr
    return set(printed.rpartition("imported modules:")[2].split())


def small() -> nn.Module:
    """Return a model for the command line."""
    return nn.Conv2d(2, 2, 3)


def command_line(*arguments: str) -> str:
    return f"""
import sys
from expressivity.__main__ import main
sys.argv = ["expressivity", {", ".join(map(repr, arguments))}]
try:
    main()
except SystemExit:
    pass
"""


@pytest.mark.parametrize("argument", ["--help", "-h", "--version", "no-such-command"])
def test_the_command_line_needs_no_torch_to_say_what_it_can(argument: str) -> None:
    assert not imported(command_line(argument)) & HEAVY


def test_the_package_imports_torch_with_the_first_public_name() -> None:
    assert not imported("import expressivity") & HEAVY
    modules = imported("import expressivity; expressivity.plot_overview")
    assert {"torch", "expressivity.plots"} <= modules
    assert not modules & {"matplotlib", "sklearn"}


def test_nothing_but_a_tracer_imports_what_traces_graphs(tmp_path: Path) -> None:
    weights = str(tmp_path / "out.safetensors")
    commands = (
        ("sweep", "--points", "1"),
        ("certify", f"{__name__}:small", "--input", "1,2,8,8"),
        ("convert", f"{__name__}:small", "--input", "1,2,8,8", "--output", weights),
    )
    code = [*CONVERSIONS, *(command_line(*arguments) for arguments in commands)]
    done = f"""
import sys, torch, expressivity as ex
conv, x = torch.nn.Conv2d(2, 2, 3, padding=1), torch.rand(1, 2, 8, 8)
geometry = ex.ConvGeometry.from_conv(conv)
for code in {code!r}:
    exec(code)
    if {TRACERS!r} & set(sys.modules):
        raise SystemExit(code)
"""
    assert "torch" in imported(done)
    assert (tmp_path / "out.json").exists()


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_needs_no_torch(name: str) -> None:
    assert not imported(command_line(name, "--help")) & HEAVY


def test_an_output_that_cannot_be_written_is_refused_before_torch_is_imported() -> None:
    for output in ("error.txt", "no/such/folder.png"):
        assert not imported(command_line("sweep", "--output", output)) & HEAVY


def test_every_command_is_in_the_list() -> None:
    folder = Path(expressivity.__file__).parent / "cli" / "commands"
    assert {path.stem for path in folder.glob("*.py")} == {"__init__", *COMMANDS}


def test_the_package_hands_on_every_public_name() -> None:
    assert set(public.__all__) <= set(dir(expressivity))
    for name in public.__all__:
        assert getattr(expressivity, name) is getattr(public, name)
    names: dict[str, object] = {}
    exec("from expressivity import *", names)
    assert set(public.__all__) <= set(names)


def test_other_names_are_refused_as_anywhere() -> None:
    with pytest.raises(AttributeError, match="'expressivity' has no attribute 'conv'"):
        _ = expressivity.conv
    assert not hasattr(expressivity, "__wrapped__")
