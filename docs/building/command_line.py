"""The page of the command line, read off the program itself."""

import json
from collections.abc import Iterator, Sequence
from inspect import cleandoc
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
import typer

from docs.building.json_documents import DOCUMENTS
from expressivity.cli import app
from expressivity.cli.app import COMMANDS
from expressivity.cli.status import BAD_INPUT, CRASHED, DOES_NOT_HOLD, INTERRUPTED

_STATUSES = (
    ("0", "Done, and every claim holds. Files named as output are whole."),
    (str(DOES_NOT_HOLD), "Done, and a claim does not hold: a line begins with FAILS."),
    (str(BAD_INPUT), "Bad input: one line says what was required and what came."),
    (str(CRASHED), "A defect of the program, with its traceback."),
    (str(INTERRUPTED), "Interrupted from the keyboard."),
    ("128 + n", "Stopped by signal n, after unfinished files were removed."),
)
_HEAD = """\
# Command line

`expressivity COMMAND`, or `python -m expressivity COMMAND`. In a clone after
`make demo` it is `.venv/bin/expressivity`. Results go to standard output, everything
else to standard error. `expressivity --install-completion` sets up completion in your
shell.
"""


def pages() -> Iterator[tuple[str, str]]:
    """Write the page.

    Yields:
        Its path below the root of the site, and MyST.
    """
    group: Any = typer.main.get_command(app)
    context = typer.Context(group, info_name="expressivity")
    blocks = [_HEAD, "## Exit statuses", _table(("status", "means"), _STATUSES)]
    blocks += ["## All commands", _table(("command", "what it does"), _summary())]
    for name in COMMANDS:
        blocks += _section(name, group.commands[name], context)
    yield "lookup/command_line.md", "\n\n".join(blocks) + "\n"


def write_schemas(folder: Path) -> None:
    """Write the JSON Schema of every command's ``--json``.

    Args:
        folder: Where to; made if it is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, document in DOCUMENTS.items():
        schema = msgspec.json.schema(document)
        text = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        (folder / f"{name}.json").write_text(text, encoding="utf-8")


def _summary() -> Iterator[Sequence[str]]:
    for name, kind in COMMANDS.items():
        yield f"[`{name}`](#{name})", kind.__doc__ or ""


def _section(name: str, command: Any, parent: Any) -> Iterator[str]:
    kind = COMMANDS[name]
    yield f"## {name}"
    yield kind.__doc__ or ""
    context = type(parent)(command, info_name=name, parent=parent)
    usage = " ".join((context.command_path, *command.collect_usage_pieces(context)))
    yield f"```text\n{usage}\n```"
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option"]
    if arguments:
        described = [(f"`{p.metavar}`", _cell(p.help or "")) for p in arguments]
        yield _table(("argument", "what it is"), described)
    hints = get_type_hints(kind)
    rows = [
        (_spelled(p, hints.get(p.name)), _cell(p.help or ""), _default(p))
        for p in options
    ]
    yield _table(("option", "what it does", "default"), rows)
    examples = cleandoc(kind.EXAMPLES).split("\n\n")
    lines = "\n".join(each.replace("\n", " \\\n    ") for each in examples)
    yield f"```sh\n{lines}\n```"
    yield f"**JSON.** `--json` prints ([schema](schemas/{name}.json)):"
    yield _table(("field", "holds"), _fields(name))


def _spelled(option: Any, kind: Any) -> str:
    names = ", ".join(f"`{name}`" for name in option.opts)
    if option.is_flag:
        return names
    value = next(each for each in (*get_args(kind), kind) if each is not None)
    return f"{names} `{option.metavar or value.__name__.upper()}`"


def _default(option: Any) -> str:
    if option.required:
        return "required"
    if option.is_flag or option.default in (None, "", ()):
        return ""
    return f"`{option.default}`"


def _fields(name: str) -> Iterator[Sequence[str]]:
    for field in msgspec.inspect.type_info(DOCUMENTS[name]).fields:  # type: ignore[attr-defined]
        described: Any = field.type
        extra = getattr(described, "extra_json_schema", None) or {}
        yield f"`{field.encode_name}`", _cell(extra.get("description", ""))


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("*", "\\*")


def _table(columns: Sequence[str], rows: Any) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
