"""Every tensor that the package creates says where: nothing rests on the default."""

import ast
from collections.abc import Iterator

import pytest

from tests import ROOT

PACKAGE = ROOT / "expressivity"
CREATIONS = {
    "arange",
    "as_tensor",
    "empty",
    "eye",
    "full",
    "linspace",
    "logspace",
    "normal",
    "ones",
    "rand",
    "randint",
    "randn",
    "randperm",
    "scalar_tensor",
    "tensor",
    "tril_indices",
    "triu_indices",
    "zeros",
}


def unplaced(source: str) -> Iterator[str]:
    """Yield the creations of tensors without a device.

    Parameters of a module follow the default, as those of torch's modules do: what is
    created in an ``__init__`` is left out.
    """

    def visit(node: ast.AST) -> Iterator[str]:
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            return
        if isinstance(node, ast.Call) and creates(node.func):
            if all(keyword.arg != "device" for keyword in node.keywords):
                yield f"line {node.lineno}: {ast.unparse(node)}"
            inner: list[ast.AST] = [*node.args, *(k.value for k in node.keywords)]
        elif creates(node):  # handed on, to be called without a device
            yield f"line {getattr(node, 'lineno', 0)}: {ast.unparse(node)}"
            return
        elif isinstance(node, ast.Call) and ast.unparse(node) == "torch.Generator()":
            yield f"line {node.lineno}: {ast.unparse(node)}"
            return
        else:
            inner = list(ast.iter_child_nodes(node))
        for child in inner:
            yield from visit(child)

    yield from visit(ast.parse(source))


def creates(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and node.attr in CREATIONS
        and isinstance(node.value, ast.Name)
        and node.value.id == "torch"
    )


def test_every_creation_names_its_device() -> None:
    found = {path: list(unplaced(path.read_text())) for path in PACKAGE.rglob("*.py")}
    assert not {str(path): lines for path, lines in found.items() if lines}


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("x = torch.zeros(3)", 1),
        ("x = torch.zeros(3, device=y.device)", 0),
        ("x = torch.eye(len(torch.ones(2)), device='cpu')", 1),
        ("x = list(map(torch.tensor, y))", 1),
        ("g = torch.Generator()", 1),
        ("g = torch.Generator('cpu')", 0),
        ("def f():\n    return y + torch.arange(4)", 1),
        ("class A:\n    def __init__(self):\n        self.x = torch.zeros(2)", 0),
        ("x = y.new_zeros(3)", 0),
    ],
)
def test_a_creation_without_one_is_noticed(source: str, count: int) -> None:
    assert len(list(unplaced(source))) == count
