"""What every test and every public name has to have."""

import ast
import inspect
from collections.abc import Iterator
from dataclasses import is_dataclass

import pytest

import expressivity
from expressivity import errors
from tests import ROOT


def is_error(value: object) -> bool:
    return inspect.isclass(value) and issubclass(value, Exception)


TESTS = ROOT / "tests"
FILES = sorted(TESTS.rglob("test_*.py"))
PUBLIC = [n for n in expressivity.__all__ if not is_error(getattr(expressivity, n))]
Function = ast.FunctionDef | ast.AsyncFunctionDef


def calls(node: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Yield the calls in a piece of code with the last part of their names."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Call):
            name = getattr(inner.func, "attr", getattr(inner.func, "id", ""))
            yield name, inner


def asserting_functions(tree: ast.AST) -> set[str]:
    """Return the functions of a file that assert, themselves or by a call."""
    functions = {n.name: n for n in ast.walk(tree) if isinstance(n, Function)}
    found: set[str] = set()
    while True:
        more = {
            name
            for name, node in functions.items()
            if any(isinstance(inner, ast.Assert) for inner in ast.walk(node))
            or any(
                called in found | {"raises", "warns"} or called.startswith("assert_")
                for called, _ in calls(node)
            )
        }
        if more == found:
            return found
        found = more


def silent_tests(source: str) -> set[str]:
    """Return the tests of a file that assert nothing."""
    tree = ast.parse(source)
    functions = {n.name for n in ast.walk(tree) if isinstance(n, Function)}
    tests = {name for name in functions if name.startswith("test_")}
    return tests - asserting_functions(tree) if tests else {"no test at all"}


def test_every_test_asserts() -> None:
    silent = {path.name: silent_tests(path.read_text()) for path in FILES}
    assert not {name: tests for name, tests in silent.items() if tests}


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("def test_nothing():\n    f()", 1),
        ("def test_nothing():\n    f()\n\ndef test_it():\n    assert f()", 1),
        ("def check():\n    assert 1\n\ndef test_it():\n    check()", 0),
        ("def test_it():\n    with raises(Error):\n        f()", 0),
        ("x = 1", 1),
    ],
)
def test_a_test_that_asserts_nothing_is_noticed(source: str, count: int) -> None:
    assert len(silent_tests(source)) == count


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_documented_with_an_example(name: str) -> None:
    value = getattr(expressivity, name)
    text = inspect.getdoc(value) or ""
    assert text.split("\n")[0].endswith("."), f"{name} needs a line that ends in '.'"
    if is_record(value):
        assert "Attributes:" in text, f"{name} does not list its fields"
        return
    methods = vars(value).values() if inspect.isclass(value) else ()
    examples = [text, *(inspect.getdoc(method) or "" for method in methods)]
    assert any(">>> " in example for example in examples), f"{name} has no example"


def is_record(value: object) -> bool:
    """Whether a class only holds what a function returns: that one has the example."""
    if not inspect.isclass(value):
        return False
    holds_fields = issubclass(value, tuple) or is_dataclass(value)
    return holds_fields and not hasattr(value, "create")


def test_every_error_is_two_kinds_of_error() -> None:
    """Ours, to catch them all, and the built-in one that a caller would expect."""
    kinds = [kind for kind in vars(errors).values() if is_error(kind)]
    assert len(kinds) > 5
    for kind in kinds:
        assert inspect.getdoc(kind)
        if kind is not errors.ExpressivityError:
            builtin = [base for base in kind.__bases__ if base.__module__ == "builtins"]
            assert issubclass(kind, errors.ExpressivityError)
            assert len(builtin) == 1
