"""Code of a network that uses its convolutions in ways that attention cannot support.

A weight penalty over ``isinstance(module, nn.Conv2d)`` skips attention, and an
assignment to the weight of a layer fails. Neither is noticeable before it runs, so this
module reads the source of the classes. It resolves names, executes nothing, and skips
code whose source is unavailable.
"""

import ast
import inspect
import textwrap
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from types import FunctionType, ModuleType

from torch import nn

Function = ast.FunctionDef | ast.AsyncFunctionDef
_LIBRARIES = ("torch", "builtins", "expressivity")
# Methods that prepare a module, in torch and in libraries of networks.
_PREPARING = {"__init__", "_init_weights", "init_weights", "reset_parameters"}


class Source:
    """The methods of a network's classes, as far as their source is available.

    Example:
        >>> conv = nn.Conv2d(1, 1, 1)
        >>> Source(nn.Sequential(conv)).class_checks([conv])
        []
    """

    def __init__(self, model: nn.Module) -> None:
        """Read the source of every class of a network that is not torch's."""
        self._modules = list(model.modules())
        trees: dict[FunctionType, Function | None] = {}
        kinds = dict.fromkeys(type(module) for module in self._modules)
        self._methods = {kind: _methods(kind, trees) for kind in kinds}

    def class_checks(self, layers: Collection[nn.Module]) -> list[str]:
        """Return where the network asks whether a module is a convolution.

        Args:
            layers: The convolutions that become attention.

        Returns:
            One sentence for each method and class, without methods that only prepare a
            module.
        """
        kinds = {kind for layer in layers for kind in type(layer).__mro__}
        kinds -= {nn.Module, object}
        remarks: dict[str, None] = {}
        for methods in self._methods.values():
            for method in methods:
                for expression in _compared_classes(method.tree):
                    if _resolved(expression, method.function) & kinds:
                        remarks[
                            f"{method.name} asks whether a module is of "
                            f"{ast.unparse(expression)}: attention is not"
                        ] = None
        return list(remarks)

    def uses(
        self, layers: Mapping[str, nn.Module], attention: Mapping[str, nn.Module]
    ) -> dict[str, list[str]]:
        """Return the uses of convolutions by methods that attention does not support.

        Args:
            layers: The convolutions that become attention, by name.
            attention: What they become.

        Returns:
            Sentences by the name of the convolution, about attributes that methods read
            and attention lacks, and about attributes that methods set or write into.
        """
        names = {id(layer): name for name, layer in layers.items()}
        remarks: dict[str, dict[str, None]] = defaultdict(dict)
        for module in self._modules:
            for method in self._methods[type(module)]:
                for layer, attribute, verb in _attributes(method, module):
                    name = names.get(id(layer))
                    if name is None:
                        continue
                    answer = _answer(attention[name], attribute, verb)
                    if answer is not None:
                        what = f"{verb} its {attribute}, which attention {answer}"
                        remarks[name][f"{method.name} {what}"] = None
        return {name: list(sentences) for name, sentences in remarks.items()}


def _answer(attention: nn.Module, attribute: str, verb: str) -> str | None:
    """Return how attention fails a use of an attribute; ``None`` if it does not."""
    if verb == "reads":
        return None if hasattr(attention, attribute) else "lacks"
    if not isinstance(getattr(type(attention), attribute, None), property):
        return None
    return "refuses" if verb == "sets" else "composes from its heads"


class _Method:
    """The source of a method."""

    def __init__(self, name: str, function: FunctionType, tree: Function) -> None:
        """Take class and method as a name, the function, and its syntax."""
        self.name, self.function, self.tree = name, function, tree

    @property
    def receiver(self) -> str:
        """The name of the method's first parameter."""
        positional = [*self.tree.args.posonlyargs, *self.tree.args.args]
        return positional[0].arg if positional else ""

    def calls(self) -> set[str]:
        """Return the names of its object's attributes that the method mentions."""
        return {
            node.attr
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == self.receiver
        }


def _methods(kind: type, trees: dict[FunctionType, Function | None]) -> list[_Method]:
    """Return the methods of a class that may run once an object exists."""
    methods: dict[str, _Method] = {}
    for base in reversed(kind.__mro__):
        if base.__module__.partition(".")[0] in _LIBRARIES:
            continue
        for name, value in vars(base).items():
            function = _function(value)
            if function is None:
                continue
            if function not in trees:
                trees[function] = _tree(function)
            tree = trees[function]
            if tree is not None:
                label = f"{base.__qualname__}.{name}"
                methods[name] = _Method(label, function, tree)
    preparing = _reached(methods, _PREPARING)
    running = _reached(methods, methods.keys() - preparing)
    return [method for name, method in methods.items() if name in running]


def _reached(methods: Mapping[str, _Method], names: set[str]) -> set[str]:
    """Return some methods and all that they mention, directly or indirectly."""
    waiting, reached = list(names & methods.keys()), set()
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += methods[name].calls() & methods.keys()
    return reached


def _function(value: object) -> FunctionType | None:
    if isinstance(value, property):
        value = value.fget
    if isinstance(value, (classmethod, staticmethod)):
        value = value.__func__
    return value if isinstance(value, FunctionType) else None


def _tree(function: FunctionType) -> Function | None:
    """Return the syntax of a function, if its source is available."""
    try:
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    except (OSError, TypeError, SyntaxError, ValueError):
        return None
    return tree if isinstance(tree, Function) else None


def _compared_classes(tree: Function) -> Iterator[ast.expr]:
    """Yield what code compares modules with: isinstance, type(...) is, case ...()."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and len(node.args) == 2:
            if isinstance(node.func, ast.Name) and node.func.id == "isinstance":
                yield node.args[1]
        elif isinstance(node, ast.Compare) and isinstance(node.left, ast.Call):
            if isinstance(node.left.func, ast.Name) and node.left.func.id == "type":
                yield from node.comparators
        elif isinstance(node, ast.MatchClass):
            yield node.cls


def _resolved(expression: ast.expr, function: FunctionType) -> set[object]:
    """Return the classes that an expression names, without evaluating it."""
    if isinstance(expression, (ast.Tuple, ast.List, ast.Set)):
        parts = [_resolved(part, function) for part in expression.elts]
        return set().union(*parts)
    if isinstance(expression, ast.BinOp):
        left, right = expression.left, expression.right
        return _resolved(left, function) | _resolved(right, function)
    value = _value(expression, function)
    values = value if type(value) is tuple else (value,)
    return {each for each in values if isinstance(each, type)}


def _value(expression: ast.expr, function: FunctionType) -> object:
    if isinstance(expression, ast.Name):
        return function.__globals__.get(expression.id)
    if isinstance(expression, ast.Attribute):
        owner = _value(expression.value, function)
        if isinstance(owner, ModuleType):
            return vars(owner).get(expression.attr)
    return None


def _attributes(
    method: _Method, module: nn.Module
) -> Iterator[tuple[nn.Module, str, str]]:
    """Yield a submodule, the name of an attribute of it, and a verb for its use."""
    for node in ast.walk(method.tree):
        verb, place = "reads", node
        if isinstance(node, (ast.Attribute, ast.Subscript)):
            if not isinstance(node.ctx, ast.Load):
                verb = "sets"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            # By convention, such a method changes its tensor.
            if not node.func.attr.endswith("_") or node.func.attr.endswith("__"):
                continue
            verb, place = "writes into", node.func.value
        while isinstance(place, (ast.Attribute, ast.Subscript)):
            owner = _submodule(place.value, method.receiver, module)
            if owner is not None and isinstance(place, ast.Attribute):
                if place.attr not in owner._modules:
                    yield owner, place.attr, verb
                break
            if verb == "reads":  # the walk visits inner nodes by itself
                break
            verb, place = "writes into", place.value


def _submodule(
    expression: ast.expr, receiver: str, module: nn.Module
) -> nn.Module | None:
    """Return the submodule that self.a.b or self.a[0] is."""
    if isinstance(expression, ast.Name):
        return module if expression.id == receiver else None
    key: object = None
    if isinstance(expression, ast.Attribute):
        key = expression.attr
    elif isinstance(expression, ast.Subscript):
        index = expression.slice
        key = index.value if isinstance(index, ast.Constant) else None
    if not isinstance(expression, (ast.Attribute, ast.Subscript)):
        return None
    owner = _submodule(expression.value, receiver, module)
    return None if owner is None else owner._modules.get(str(key))
