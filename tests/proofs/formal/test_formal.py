"""The Coq development, what Coq said about it, and the table: all of them agree."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

import expressivity as ex
from expressivity.public import SHORT
from proofs.catalogue import NAMES
from proofs.engine import Statement
from proofs.formal import (
    FAMILIES,
    FOLDER,
    FUNCTIONS,
    MAIN,
    TABLE,
    Theorem,
    development,
    files,
    find,
    theorems,
    write_table,
)

README = (FOLDER / "README.md").read_text(encoding="utf-8")
CONTROLS = sorted((FOLDER / "controls").glob("*.v"))
NO_MATHEMATICS = {"compare", "load", "parameter_groups"}
LIBRARIES = (
    "boolp.",
    "ClassicalDedekindReals.",
    "FunctionalExtensionality.",
    "Classical_Prop.",
    "Epsilon.",
)
over_files = pytest.mark.parametrize("path", files(), ids=lambda path: path.stem)


def words(path: Path) -> str:
    """Return the comment that a file opens with, without its frame."""
    text = path.read_text(encoding="utf-8")
    head = text[: text.index("From ")]
    return " ".join(re.sub(r"[*()]", " ", head).split())


def code(path: Path) -> str:
    """Return a file without its comments."""
    return re.sub(r"\(\*.*?\*\)", "", path.read_text(encoding="utf-8"), flags=re.S)


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the sources that may be changed."""
    folder = tmp_path / "coq"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("*.vo*", "*.glob"))
    monkeypatch.setattr(development, "FOLDER", folder)
    return folder


def read_again() -> Mapping[str, Theorem]:
    """Read the sources and what Coq said about them, whatever is in the cache."""
    return theorems.__wrapped__()


def test_the_table_is_up_to_date() -> None:
    assert TABLE.read_text(encoding="utf-8") == write_table(), "run make coq"


@pytest.mark.parametrize("theorem", theorems().values(), ids=lambda t: t.name)
def test_the_core_assumes_nothing(theorem: Theorem) -> None:
    if theorem.file.startswith("instance_"):
        assert theorem.axioms
        assert all(axiom.startswith(LIBRARIES) for axiom in theorem.axioms)
    else:
        assert theorem.axioms == ()


def test_every_file_is_compiled() -> None:
    found = set(FOLDER.glob("*.v")) - {FOLDER / "assumptions.v", FOLDER / "installed.v"}
    assert found == set(files())


@over_files
def test_nothing_is_left_out(path: Path) -> None:
    banned = (
        r"\b(Admit(ted)?|admit|give_up|Axioms?|Conjecture|Parameters?|Declare|Module"
        r"|Primitive|Unset (Guard|Positivity|Universe)|bypass_check|Program)\b"
    )
    text = code(path)
    assert not re.search(banned, text)
    # What is proved is listed if it is called a theorem or corollary, and not hidden.
    assert not re.search(r"\b(Fact|Remark|Proposition|Property|Example)\b", text)
    shown = re.findall(r"^(?:Theorem|Corollary) ", text, re.M)
    assert len(shown) == len(re.findall(r"\b(?:Theorem|Corollary)\b", text))
    # Variables and hypotheses outside of sections would be axioms by another name.
    depth = 0
    for line in map(str.strip, text.splitlines()):
        depth += line.startswith("Section ") - line.startswith("End ")
        if re.search(r"\b(Variables?|Hypothes[ie]s|Context)\b", line):
            assert depth > 0, line
    assert depth == 0


@over_files
def test_files_open_with_what_they_state(path: Path) -> None:
    opening = words(path)
    assert "In words." in opening
    stated = [t for t in theorems().values() if t.file == path.name]
    missing = [t.name for t in stated if t.name not in opening]
    assert not missing


@over_files
def test_lines_fit(path: Path) -> None:
    assert max(map(len, path.read_text(encoding="utf-8").splitlines())) <= 88


def test_theorems_that_statements_name_exist(statement: Statement) -> None:
    assert set(statement.formal) <= set(theorems())
    if not statement.formal:
        assert not statement.informal
    for text in (*statement.formal.values(), statement.informal):
        plain = "".join(text.split("$")[::2])
        assert text.count("$") % 2 == 0
        assert not any(mark in plain for mark in "\\^_{}"), text
        assert not text.endswith(".")


def test_every_theorem_that_reliance_names_exists() -> None:
    names = set(NAMES)
    for reliance in (*FUNCTIONS.values(), *FAMILIES.values()):
        assert set(reliance.statements) <= names
        assert set(reliance.theorems) <= set(theorems())
        assert len(set(reliance.theorems)) == len(reliance.theorems)
        assert reliance.statements
        assert reliance.theorems
    assert set(MAIN) <= set(theorems())


def test_every_public_function_says_what_it_rests_on() -> None:
    public = {
        name
        for name in (*ex.__all__, *SHORT)
        if callable(getattr(ex, name)) and not isinstance(getattr(ex, name), type)
    } | set(ex.accuracy.__all__)
    assert public >= NO_MATHEMATICS
    assert public - NO_MATHEMATICS == set(FUNCTIONS) - {"RelativeSelfAttention"}
    assert set(FAMILIES) <= set(ex.atlas.FAMILIES)


def test_controls_prove_the_true_statement_and_refute_the_false_one() -> None:
    assert len(CONTROLS) >= 3
    for path in CONTROLS:
        proved = re.findall(
            r"^Theorem (\w+) : ([^.]*(?:\.\+1)?)\.\nProof\.(.*?)Qed\.",
            code(path),
            re.M | re.S,
        )
        (_, true, script), (name, negation, _), (_, false, again) = proved
        assert name == "refuted"
        assert negation == f"~ {false}"
        assert again == script
        assert true.split()[0] == false.split()[0]  # one definition, applied twice
        text = path.read_text(encoding="utf-8")
        assert len(re.findall(r"^\(\* must fail: \S.*\*\)$", text, re.M)) == 1


def test_the_main_theorem_is_quoted_as_it_stands() -> None:
    (quoted,) = re.findall(r"```coq\n(.*?)```", README, re.S)
    assert quoted in (FOLDER / "convergence.v").read_text(encoding="utf-8")


@pytest.mark.parametrize("target", re.findall(r"\]\((?!http)([^)#]+)", README))
def test_links_lead_somewhere(target: str) -> None:
    assert (FOLDER / target).exists()


def test_another_source_is_noticed(copied: Path) -> None:
    assert read_again() == theorems()
    with (copied / "leak.v").open("a", encoding="utf-8") as file:
        file.write("\n")
    with pytest.raises(ValueError, match="run make coq"):
        read_again()


@pytest.mark.parametrize(
    ("printed", "axioms"),
    [
        ("Axioms:\nlemma\n  : forall n : nat,\n    n = n\n", ("lemma",)),
        ("Axioms:\na.b : 1 = 1\nprimed' : False\n", ("a.b", "primed'")),
        ("Axioms:\na : 1 = 1\nloop is assumed to be guarded.\n", None),
        ("Axioms:\n", None),
        ("Something\n", None),
        ("", None),
    ],
)
def test_an_axiom_is_noticed(
    copied: Path, printed: str, axioms: tuple[str, ...] | None
) -> None:
    entry = "Constant Expressivity.leak.leak_theta\n"
    closed = f"{entry}Closed under the global context\n"
    change(copied / "assumptions.txt", closed, entry + printed)
    if axioms:
        assert read_again()["leak_theta"].axioms == axioms
    else:
        with pytest.raises(ValueError, match="Print Assumptions"):
            read_again()


def test_a_record_that_is_cut_off_is_noticed(copied: Path) -> None:
    recorded = copied / "assumptions.txt"
    text = recorded.read_text(encoding="utf-8")
    recorded.write_text(text[:-40], encoding="utf-8")
    with pytest.raises(ValueError, match="run make coq"):
        read_again()


def test_a_theorem_that_is_not_on_record_is_noticed(copied: Path) -> None:
    change(copied / "leak.v", "Theorem leak_theta", "Theorem leak_zeta")
    record_again(copied)
    with pytest.raises(ValueError, match=r"leak_zeta is not in assumptions\.txt"):
        read_again()


def test_two_theorems_of_one_name_are_noticed(copied: Path) -> None:
    change(copied / "leak.v", "Theorem leak_theta", "Theorem leak_tokens")
    record_again(copied)
    with pytest.raises(ValueError, match=r"stated in leak\.v and leak\.v"):
        read_again()


def test_a_theorem_that_nobody_states_is_not_found() -> None:
    assert find("leak_theta").file == "leak.v"
    with pytest.raises(ValueError, match="no file in coq states a theorem leak_zeta"):
        find("leak_zeta")


def change(path: Path, old: str, new: str) -> None:
    """Replace the only place where a file has a text."""
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")


def record_again(folder: Path) -> None:
    """Pretend that Coq has seen the sources as they are now."""
    path = folder / "assumptions.txt"
    rest = path.read_text(encoding="utf-8").partition(" ")[2]
    path.write_text(f"{development.digest()} {rest}", encoding="utf-8")
