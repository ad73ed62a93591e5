"""The rules of the house that a machine can check: who may import whom, and who may touch the world."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "engine").rglob("*.py"))
IDS = [str(file.relative_to(ROOT)) for file in FILES]

ORDER = (
    {"errors", "isotime", "retry_after", "sasl", "sasl_server", "version", "escaping", "field_errors"},
    {"handlebars"},
    {"mail"},
    {"model"},
    {"schema"},
    {"environment"},
    {"config"},
    {"proxies"},
    {"world", "resolver", "hosts", "masking", "transcript", "log", "repeated_errors", "heavy_work"},
    {"deflate", "egress", "transport"},
    {"store"},
    {"settings", "arriving_body"},
    {"signed_links"},
    {"sandbox"},
    {"smtp", "imap"},
    {"events"},
    {"webhooks"},
    {"oauth"},
    {"http"},
    {"queue"},
    {"accounts"},
    {"gateways"},
    {"export"},
    {"submission"},
    {"msa"},
    {"api"},
    {"assembly"},
    {"web"},
    {"app", "doctor", "cli", "commands", "__main__", "__init__"},
)
"""Rooms and single files from the bottom up."""
APART = {"model", "schema", "mail"}
"""Rooms of the bottom that know nothing of each other."""
SANDBOX_MAY_IMPORT = {"deflate", "errors", "sasl_server", "world", "sandbox"}
SERVER_SIDE = ("engine.smtp.server_",)
"""Of `smtp`: what servers are made of, the sandbox's too; no client uses it."""
MAY_IMPORT_SANDBOX = {"sandbox", "accounts", "assembly", "web", "app", "cli", "doctor"}

NO_RESOURCE = {"app", "context", "mailbox_access", "tags", "__init__"}
"""Of `api`: what all of them share."""
SHARED = {
    "fields",
    "servers",
    "paging",
    "problem",
    "stored_json",
    "mail_events",
    "merge_results",
    "submit_answers",
    "delivery_reports",
    "recipient_events",
    "account_condition",
    "token_request",
    "reference",
    "__init__",
}
"""Of `schema`: what more than one resource is made of."""
HTTP_MAY_IMPORT = {"fields", "servers", "paging", "problem", "events"}
"""Of `schema`: what every resource is made of, and the events, which the whole API tells of."""

IMPURE = {"trio", "anyio", "asyncio", "quart", "hypercorn", "sqlite3", "os", "socket", "ssl", "select", "signal"}
IMPURE |= {"time", "random", "secrets", "uuid", "threading", "subprocess", "tempfile", "pathlib", "shutil"}
NEVER_LOADED = {"trio", "anyio", "asyncio", "quart", "hypercorn", "sqlite3", "_sqlite3"}
"""Of these, what no package that pure files use may bring along."""

OF_THE_WORLD = {
    "time.time",
    "time.monotonic",
    "uuid.uuid1",
    "uuid.uuid4",
    "os.urandom",
    "datetime.now",
    "datetime.utcnow",
    "datetime.today",
    "datetime.datetime.now",
    "datetime.datetime.utcnow",
    "random.random",
    "random.choice",
    "random.randint",
    "random.uniform",
    "random.Random",
    "random.SystemRandom",
}


@functools.cache
def imports(file: Path) -> list[str]:
    """The full names of the modules a file imports."""
    found = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [each.name for each in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            name = node.module or ""
            found += [f"{name}.{each.name}" for each in node.names] if name == "engine" else [name]
    return found


def pure_files() -> list[Path]:
    """The files that docs/design.md marks *pure*: in the heading of their room, or in their own row."""
    found, room, is_whole = [], "", False
    for line in (ROOT / "docs" / "design.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            heading = re.match(r"### `(engine/.*?)`", line)
            room, is_whole = heading[1] if heading else "", "*pure*" in line
        elif room and (row := re.match(r"\| (`.*?`) \| (.*)", line)) and (is_whole or "*pure*" in row[2]):
            found += [ROOT / room / name for name in re.findall(r"`(.*?)`", row[1])]
        if is_whole and line.startswith("#"):
            found += (ROOT / room).glob("__init__.py")
    return found


@functools.cache
def modules(file: Path) -> set[str]:
    """Every module that loading a file loads, as far as its own lines say.

    What is imported for its types alone counts too: who is handed a thing depends on what it is.
    """
    names = set(imports(file))
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{each.name}" for each in node.names}
    # A package is loaded before what is in it.
    return names | {".".join(name.split(".")[:count]) for name in names for count in range(1, name.count(".") + 1)}


def reached(file: Path) -> dict[Path, str]:
    """The files of the engine that a file depends on, itself included, each with the way that leads there."""
    found: dict[Path, str] = {}
    ahead = [(file, "itself")]
    while ahead:
        here, way = ahead.pop()
        if here in found:
            continue
        found[here] = way
        for name in modules(here):
            place = ROOT.joinpath(*name.split("."))
            there = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
            if name.split(".")[0] == "engine" and there.is_file():
                ahead.append((there, f"{way} > {name}"))
    return found


PURE_FILES = pure_files()


def room_of(file: Path) -> str:
    parts = file.relative_to(ROOT / "engine").parts
    return parts[0] if len(parts) > 1 else file.stem


def rank(room: str) -> int:
    (found,) = [number for number, rooms in enumerate(ORDER) if room in rooms]
    return found


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def test_there_is_something_to_check() -> None:
    assert len(FILES) > 50
    assert len(PURE_FILES) > 80
    assert all(file.is_file() for file in PURE_FILES)
    rooms = {room_of(file) for file in PURE_FILES}
    assert rooms >= {"model", "schema", "mail", "smtp", "imap", "queue", "accounts", "errors"}


@pytest.mark.parametrize("file", FILES, ids=IDS)
def test_a_room_imports_only_those_below_it(file: Path) -> None:
    room = room_of(file)
    for name in imports(file):
        if not name.startswith("engine."):
            continue
        other = name.split(".")[1]
        if room == "sandbox":
            assert other in SANDBOX_MAY_IMPORT or name.startswith(SERVER_SIDE), f"imports {name}"
        elif other == "sandbox":
            assert room in MAY_IMPORT_SANDBOX, f"imports {name}"
        elif other != room:
            same = rank(room) == rank("cli") == rank(other)
            assert same or rank(other) <= rank(room), f"imports {name}"
            assert not {room, other} <= APART, f"imports {name}"


def test_a_resource_is_a_file_in_api_and_one_of_the_same_name_in_schema() -> None:
    names = {room: {file.stem for file in (ROOT / "engine" / room).glob("*.py")} for room in ("api", "schema")}
    assert names["api"] - NO_RESOURCE == names["schema"] - SHARED


def test_the_machinery_knows_no_resource() -> None:
    for file in (ROOT / "engine" / "http").glob("*.py"):
        known = {name.split(".")[2] for name in imports(file) if name.startswith("engine.schema.")}
        assert known <= HTTP_MAY_IMPORT, f"{file.name} imports {known - HTTP_MAY_IMPORT}"


def test_submissions_know_no_http() -> None:
    for file in (ROOT / "engine" / "submission").glob("*.py"):
        assert not [name for name in imports(file) if name.split(".")[0] in ("quart", "hypercorn", "werkzeug")]
        assert not [name for name in imports(file) if name.startswith("engine.http")]


@pytest.mark.parametrize("file", PURE_FILES, ids=[str(file.relative_to(ROOT)) for file in PURE_FILES])
def test_a_pure_file_touches_no_world_also_not_through_what_it_imports(file: Path) -> None:
    for other, way in reached(file).items():
        assert {name.split(".")[0] for name in imports(other)} & IMPURE == set(), way


def test_pure_files_load_neither_trio_nor_sqlite() -> None:
    names = [".".join(file.relative_to(ROOT).with_suffix("").parts) for file in PURE_FILES]
    program = f"import sys, {', '.join(names)}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True, text=True)
    assert set(loaded.stdout.split()) & NEVER_LOADED == set()


@pytest.mark.parametrize("file", FILES, ids=IDS)
def test_only_the_world_tells_time_and_throws_dice(file: Path) -> None:
    if file == ROOT / "engine" / "world.py":
        return
    tree = ast.parse(file.read_text(encoding="utf-8"))
    used = {dotted(node.func): node.lineno for node in ast.walk(tree) if isinstance(node, ast.Call)}
    modules = {each.name for node in ast.walk(tree) if isinstance(node, ast.Import) for each in node.names}
    if "random" not in modules:
        # What is called `random` here was passed in.
        used = {name: line for name, line in used.items() if not name.startswith("random.")}
    assert {name: line for name, line in used.items() if name in OF_THE_WORLD} == {}
    named = {
        f"{node.module}.{each.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for each in node.names
    }
    assert named & OF_THE_WORLD - {"random.Random"} == set()


@pytest.mark.parametrize("file", FILES, ids=IDS)
def test_no_file_is_two_nouns(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 500


@pytest.mark.parametrize("file", FILES, ids=IDS)
def test_no_error_is_swallowed_unseen(file: Path) -> None:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ExceptHandler):
            continue
        assert node.type is not None, f"line {node.lineno}: a bare except"
        if dotted(node.type) == "BaseException":
            raises = any(isinstance(each, ast.Raise) for each in ast.walk(node))
            assert raises, f"line {node.lineno}: BaseException is swallowed"


@pytest.mark.parametrize("file", FILES, ids=IDS)
def test_every_module_says_what_it_is(file: Path) -> None:
    assert ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))
