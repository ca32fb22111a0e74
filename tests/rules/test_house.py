"""Rules of the house: layering, sizes, docstrings with units, units in names, light start-up."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from suanli import units
from suanli.errors import UnitError

SRC = Path(__file__).parents[2] / "src" / "suanli"
FILES = sorted(SRC.rglob("*.py"))
LAYERS = [
    "demand",
    "llm",
    "hardware",
    "network",
    "memory",
    "serving",
    "training",
    "power",
    "cooling",
    "site",
    "economics",
]
OUTER = {
    "chain": 2,
    "scenario": 3,
    "study": 3,
    "runs": 3,
    "evidence": 3,
    "report": 4,
    "interop": 4,
    "cli": 5,
    "web": 5,
}
LEAVES = {"units", "errors"}


def _module(path: Path) -> str:
    return ".".join(path.relative_to(SRC).with_suffix("").parts)


def _imports(path: Path) -> Iterator[str]:
    """Modules of ours that a file imports when it runs; imports for the type checker alone do not count."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    guarded = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in guarded:
            continue
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            if node.module == "suanli":
                yield from (alias.name for alias in node.names)
            elif node.module and node.module.startswith("suanli."):
                yield node.module.removeprefix("suanli.")
        elif isinstance(node, ast.Import):
            yield from (a.name.removeprefix("suanli.") for a in node.names if a.name.startswith("suanli."))


def _allowed(importer: str, imported: str) -> bool:
    here, there = importer.split(".", maxsplit=1)[0], imported.split(".", maxsplit=1)[0]
    if here == there or there in LEAVES or there == "__version__":
        return True
    if here in LEAVES:
        return False
    if here == "result":
        return False
    if there == "result":
        return here not in LAYERS or imported == "result.value"
    if here == "catalog":
        return False
    if here in LAYERS:
        return there in LAYERS and LAYERS.index(there) < LAYERS.index(here)
    rank = OUTER[here]
    if there in LAYERS or there == "catalog":
        return True
    return OUTER[there] < rank or (rank == 3 and OUTER[there] == 3)


def test_layering() -> None:
    """units, errors, result.value <- catalog <- layers in chain order <- chain <- scenario ... <- cli, web."""
    wrong = [
        f"{_module(path)} imports {name}"
        for path in FILES
        if _module(path) != "__init__"
        for name in _imports(path)
        if not _allowed(_module(path), name)
    ]
    assert not wrong, "\n".join(wrong)


def test_every_folder_has_its_place() -> None:
    known = {*LAYERS, *OUTER, "catalog", "result", "units", "errors", "__init__"}
    assert {_module(path).split(".")[0] for path in FILES} <= known


def test_the_layering_rule_bites() -> None:
    assert not _allowed("llm.flops", "serving.steady")
    assert not _allowed("power.chain", "result.ledger")
    assert not _allowed("catalog.load", "llm")
    assert _allowed("serving.steady", "llm")
    assert _allowed("cli.run_", "chain")


@pytest.mark.parametrize("path", FILES, ids=_module)
def test_sizes(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 400, f"{path.name} has {text.count(chr(10))} lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            body = node.body[0]
            has_doc = isinstance(body, ast.Expr) and isinstance(getattr(body, "value", None), ast.Constant)
            start = (body.end_lineno or 0) if has_doc else node.lineno
            assert (node.end_lineno or 0) - start <= 60, f"{path.name}: {node.name} is too long"


def test_no_assert_print_or_star() -> None:
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert not isinstance(node, ast.Assert), f"{path}:{node.lineno} assert in the package"
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id != "print", f"{path}:{node.lineno} print in the package"
            if isinstance(node, ast.ImportFrom):
                assert all(alias.name != "*" for alias in node.names), f"{path}: star import"


def _public_layer_functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    for path in FILES:
        if _module(path).split(".")[0] not in LAYERS:
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                yield _module(path), node


def _numbers(node: ast.FunctionDef) -> list[str]:
    found = []
    for argument in [*node.args.args, *node.args.kwonlyargs]:
        kind = ast.unparse(argument.annotation) if argument.annotation else ""
        if re.fullmatch(r"(float|ArrayLike|Array|Samples)( \| None)?", kind):
            found.append(argument.arg)
    return found


def _described(doc: str, name: str) -> str | None:
    """The unit in brackets that the docstring gives for an argument; short docstrings say "Takes z [m]"."""
    if "Args:" not in doc:
        brackets = re.findall(r"\[([^\]]*)\]", doc)
        return "1" if brackets else None
    match = re.search(rf"^\s*{re.escape(name)}: (.*?)(?=^\s*[a-z_]\w*: |^\s*$|\Z)", doc, re.M | re.S)
    if match is None:
        return None
    brackets = re.findall(r"\[([^\]]*)\]", match[1])
    return brackets[0] if brackets else None


# Functions of money that hold for any unit of it: the docstring says "in the same unit".
_MONEY = {"cash_flows", "costs", "amounts", "revenue", "cost"}
# Lengths that the field calls by these names everywhere.
_LENGTHS = {"isl", "osl"}

# What a name must end in to carry a unit; a plain number ("1") needs no suffix.
_SUFFIXES = {
    "s": ("_s",),
    "W": ("_w",),
    "J": ("_j",),
    "byte": ("_bytes", "bytes", "bytes_per_sequence", "bytes_per_element"),
    "byte/s": ("_bytes_per_s",),
    "FLOP": ("flops", "_flop"),
    "FLOP/s": ("_flop_per_s",),
    "USD": ("_usd",),
    "m": ("_m",),
    "degC": ("_c",),
    "K": ("_k",),
    "Pa": ("_pa",),
    "token": ("tokens", "_tokens", "tokens_per_day", "context", "sequence"),
    "token/s": ("_tokens_per_s", "tokens_per_s", "tokens_per_s_per_chip"),
}


@pytest.mark.parametrize(
    ("module", "node"), list(_public_layer_functions()), ids=lambda v: v if isinstance(v, str) else v.name
)
def test_layer_functions_state_units(module: str, node: ast.FunctionDef) -> None:
    doc = ast.get_docstring(node)
    assert doc, f"{module}.{node.name} has no docstring"
    for name in _numbers(node):
        unit = _described(doc, name)
        assert unit is not None, f"{module}.{node.name}: argument {name} has no [unit] in its docstring"
        try:
            units.unit(re.split(" or |, ", unit)[0])
        except UnitError as error:
            pytest.fail(f"{module}.{node.name}: {name}: {error}")
        endings = _SUFFIXES.get(unit)
        if endings and name not in _MONEY | _LENGTHS:
            assert name.endswith(endings) or any(f"{ending}_per_" in name for ending in endings), (
                f"{module}.{node.name}: {name} [{unit}] should end in {' or '.join(endings)}"
            )


def test_public_names_have_docstrings() -> None:
    for path in FILES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert ast.get_docstring(tree) or not tree.body, f"{path}: no module docstring"
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{_module(path)}.{node.name}: no docstring"


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom suanli.cli.main import _run\n"
        "try:\n _run(['--help'])\nexcept SystemExit:\n pass\n"
        "heavy = {'numpy', 'scipy', 'numba', 'pydantic', 'rich', 'pyarrow'} & set(sys.modules)\n"
        "sys.exit(f'imported {sorted(heavy)}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Verbs:" in done.stdout


def test_no_machine_paths() -> None:
    pattern = re.compile(r"(^|[^A-Za-z0-9_.])/(work|root|home)/")
    for folder in ("src", "docs", "scenarios", "tests"):
        for path in (SRC.parents[1] / folder).rglob("*"):
            if path.suffix in {".py", ".md", ".toml", ".csv", ".json"} and path != Path(__file__):
                assert not pattern.search(path.read_text(encoding="utf-8")), f"{path}: machine path"
