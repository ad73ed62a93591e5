"""The rules of the house that a machine can check: who may import whom, and who may touch the world."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "engine").rglob("*.py"))
IDS = [str(file.relative_to(ROOT)) for file in FILES]

ORDER = (
    {"errors", "version", "escaping"},
    {"schema"},
    {"environment"},
    {"config"},
    {"world", "resolver", "hosts", "isotime", "masking", "transcript", "log", "repeated_errors"},
    {"deflate", "egress"},
    {"transport"},
    {"sasl"},
    {"smtp"},
    {"imap"},
    {"mail"},
    {"store"},
    {"settings"},
    {"events"},
    {"webhooks"},
    {"http"},
    {"queue"},
    {"accounts"},
    {"api"},
    {"app", "doctor", "cli", "commands", "__main__", "__init__"},
)
SANDBOX_MAY_IMPORT = {"deflate", "errors", "world", "sandbox"}
MAY_IMPORT_SANDBOX = {"sandbox", "accounts", "app", "cli", "doctor"}

NO_RESOURCE = {"app", "context", "mailbox_access", "__init__"}
"""Of `api`: what all handlers share, and what makes one resource too long."""
SHARED = {"fields", "servers", "paging", "problem", "stored", "mail_events", "__init__"}
"""Of `schema`: what more than one resource is made of."""
HTTP_MAY_IMPORT = {"fields", "servers", "paging", "problem", "events"}
"""Of `schema`: what every resource is made of, and the events, which the whole API tells of."""

IMPURE = {"trio", "anyio", "asyncio", "os", "socket", "ssl", "time", "random", "threading", "sqlite3", "subprocess"}
PURE = (
    "errors.py",
    "environment.py",
    "isotime.py",
    "escaping.py",
    "masking.py",
    "repeated_errors.py",
    "sasl.py",
    "schema/*.py",
    "smtp/replies.py",
    "smtp/protocol.py",
    "smtp/dots.py",
    "smtp/size_limit.py",
    "smtp/verdict.py",
    *(f"imap/{name}.py" for name in ("tokens", "responses", "commands", "utf7", "protocol", "limits", "buffer")),
    *(f"imap/{name}.py" for name in ("mailboxes", "numbers", "envelope", "structure", "fetched")),
    "mail/*.py",
    *(f"events/{name}.py" for name in ("recent", "size_limit")),
    *(f"webhooks/{name}.py" for name in ("backlog", "expression_checks", "expressions", "http_response")),
    *(f"webhooks/{name}.py" for name in ("plan", "retry_after", "signing", "target")),
    "accounts/clear_text.py",
    "accounts/login_hints.py",
    "accounts/message_ids.py",
    "accounts/providers.py",
    "accounts/remedies.py",
    "accounts/error_comparison.py",
    "accounts/summary.py",
    "queue/retention_clock.py",
    "queue/lifecycle.py",
    "queue/retry.py",
)
PURE_FILES = sorted(file for pattern in PURE for file in (ROOT / "engine").glob(pattern))
ALLOWED = {"queue/retry.py": {"random"}}
"""The random numbers are passed in; only their type is imported."""

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
    for pattern in PURE:
        assert list((ROOT / "engine").glob(pattern)), f"{pattern} matches no file"


@pytest.mark.parametrize("file", FILES, ids=IDS)
def test_a_room_imports_only_those_above_it(file: Path) -> None:
    room = room_of(file)
    for name in imports(file):
        if not name.startswith("engine."):
            continue
        other = name.split(".")[1]
        if room == "sandbox":
            assert other in SANDBOX_MAY_IMPORT, f"imports {name}"
        elif other == "sandbox":
            assert room in MAY_IMPORT_SANDBOX, f"imports {name}"
        elif other != room:
            same = rank(room) == rank("cli") == rank(other)
            assert same or rank(other) <= rank(room), f"imports {name}"


def test_a_resource_is_a_file_in_api_and_one_of_the_same_name_in_schema() -> None:
    names = {room: {file.stem for file in (ROOT / "engine" / room).glob("*.py")} for room in ("api", "schema")}
    assert names["api"] - NO_RESOURCE == names["schema"] - SHARED


def test_the_machinery_knows_no_resource() -> None:
    for file in (ROOT / "engine" / "http").glob("*.py"):
        known = {name.split(".")[2] for name in imports(file) if name.startswith("engine.schema.")}
        assert known <= HTTP_MAY_IMPORT, f"{file.name} imports {known - HTTP_MAY_IMPORT}"


@pytest.mark.parametrize("file", PURE_FILES, ids=[str(file.relative_to(ROOT)) for file in PURE_FILES])
def test_a_pure_module_touches_no_world(file: Path) -> None:
    allowed = ALLOWED.get(str(file.relative_to(ROOT / "engine")), set())
    assert {name.split(".")[0] for name in imports(file)} & IMPURE - allowed == set()


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
