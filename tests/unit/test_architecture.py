"""The rules of the house that a machine can check: who may import whom, and who may touch the world."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "engine").rglob("*.py"))

ORDER = (
    {
        "errors",
        "isotime",
        "retry_after",
        "sasl",
        "sasl_server",
        "version",
        "escaping",
        "field_errors",
        "masking",
        "quantities",
    }
    | {"installed_packages", "counting", "dns_records", "host_names"},
    {"handlebars"},
    {"mail"},
    {"model"},
    {"schema"},
    {"environment", "config_values"},
    {"sink_config"},
    {"config"},
    {"proxies"},
    {"descriptor_reserve", "world", "resolver", "silent_hosts", "transcript", "log", "repeated_errors", "heavy_work"}
    | {"service_manager"},
    {"remote_clocks"},
    {"deflate", "egress", "transport"},
    {"store"},
    {"settings", "arriving_body"},
    {"signed_links"},
    {"sandbox"},
    {"smtp", "imap"},
    {"events"},
    {"webhooks", "sinks"},
    {"oauth"},
    {"decoding"},
    {"edge"},
    {"queue"},
    {"accounts"},
    {"gateways"},
    {"export"},
    {"checks"},
    {"submission"},
    {"http", "msa"},
    {"metrics"},
    {"api"},
    {"importing"},
    {"assembly"},
    {"web"},
    {"app", "reloading", "doctor", "cli", "commands", "__main__", "__init__"},
)
"""Rooms and single files from the bottom up."""
APART = ({"model", "schema", "mail"}, {"http", "msa"}, {"decoding", "edge"})
"""Rooms that know nothing of each other."""
SANDBOX_MAY_IMPORT = {"deflate", "errors", "sasl_server", "world", "sandbox"}
SERVER_SIDE = ("engine.smtp.server_",)
"""Of `smtp`: what servers are made of, the sandbox's too; no client uses it."""
MAY_IMPORT_SANDBOX = {"sandbox", "accounts", "assembly", "web", "app", "cli", "doctor"}

NO_RESOURCE = {"app", "context", "mailbox_access", "tags", "token_terms", "__init__"}
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
    "submit_checks",
    "command_headers",
    "delivery_reports",
    "recipient_events",
    "account_condition",
    "explain",
    "token_request",
    "reference",
    "__init__",
}
"""Of `schema`: what more than one resource is made of."""
HTTP_MAY_IMPORT = {"fields", "servers", "paging", "problem", "events"}
"""Of `schema`: what every resource is made of, and the events, which the whole API tells of."""

RESOURCE_ROOMS = {"smtp", "imap", "webhooks", "oauth", "queue", "accounts", "gateways", "export", "submission"}
"""Rooms that resources are made of."""

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


Rule = Callable[[Path], Iterable[str]]
"""Says what is wrong with a file."""


def assert_kept(rule: Rule, files: Iterable[Path] = FILES) -> None:
    """Every file of `files` keeps the rule. One test for all of them: each for itself is thousands of tests."""
    broken = {str(file.relative_to(ROOT)): faults for file in files if (faults := list(rule(file)))}
    assert broken == {}


@functools.cache
def nodes(file: Path) -> list[ast.AST]:
    """All of its syntax tree, the module first."""
    return list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))


@functools.cache
def imports(file: Path) -> list[str]:
    """The full names of the modules a file imports."""
    found = []
    for node in nodes(file):
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
    for node in nodes(file):
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


def test_a_room_imports_only_those_below_it() -> None:
    def rule(file: Path) -> Iterator[str]:
        room = room_of(file)
        for name in imports(file):
            if not name.startswith("engine."):
                continue
            other = name.split(".")[1]
            if room == "sandbox":
                allowed = other in SANDBOX_MAY_IMPORT or name.startswith(SERVER_SIDE)
            elif other == "sandbox":
                allowed = room in MAY_IMPORT_SANDBOX
            else:
                same = rank(room) == rank("cli") == rank(other)
                below = (same or rank(other) <= rank(room)) and not any({room, other} <= apart for apart in APART)
                allowed = other == room or below
            if not allowed:
                yield f"imports {name}"

    assert_kept(rule)


def test_a_resource_is_a_file_in_api_and_one_of_the_same_name_in_schema() -> None:
    names = {room: {file.stem for file in (ROOT / "engine" / room).glob("*.py")} for room in ("api", "schema")}
    assert names["api"] - NO_RESOURCE == names["schema"] - SHARED


def test_the_machinery_knows_no_resource() -> None:
    def rule(file: Path) -> Iterator[str]:
        names = [name.split(".") for name in imports(file) if name.startswith("engine.")]
        known = {name[2] for name in names if name[1] == "schema"}
        if file.stem != "value_checks":
            # That one knows how the values of all resources must look, which is why it is apart.
            known |= {name[1] for name in names} & RESOURCE_ROOMS
        yield from (f"imports {name}" for name in known - HTTP_MAY_IMPORT)

    assert_kept(rule, [file for file in FILES if room_of(file) in ("http", "edge", "decoding")])


def test_submissions_know_no_http() -> None:
    for file in (ROOT / "engine" / "submission").glob("*.py"):
        assert not [name for name in imports(file) if name.split(".")[0] in ("quart", "hypercorn", "werkzeug")]
        assert not [name for name in imports(file) if name.startswith("engine.http")]


def test_a_pure_file_touches_no_world_also_not_through_what_it_imports() -> None:
    def rule(file: Path) -> Iterator[str]:
        for other, way in reached(file).items():
            if touched := {name.split(".")[0] for name in imports(other)} & IMPURE:
                yield f"{way} > {sorted(touched)}"

    assert_kept(rule, PURE_FILES)


def test_pure_files_load_neither_trio_nor_sqlite() -> None:
    names = [".".join(file.relative_to(ROOT).with_suffix("").parts) for file in PURE_FILES]
    program = f"import sys, {', '.join(names)}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True, text=True)
    assert set(loaded.stdout.split()) & NEVER_LOADED == set()


def test_only_the_world_tells_time_and_throws_dice() -> None:
    def rule(file: Path) -> Iterator[str]:
        used = {dotted(node.func): node.lineno for node in nodes(file) if isinstance(node, ast.Call)}
        modules = {each.name for node in nodes(file) if isinstance(node, ast.Import) for each in node.names}
        if "random" not in modules:
            # What is called `random` here was passed in.
            used = {name: line for name, line in used.items() if not name.startswith("random.")}
        yield from (f"line {line}: {name}" for name, line in used.items() if name in OF_THE_WORLD)
        for node in nodes(file):
            if isinstance(node, ast.ImportFrom):
                named = {f"{node.module}.{each.name}" for each in node.names}
                yield from named & OF_THE_WORLD - {"random.Random"}

    assert_kept(rule, [file for file in FILES if file != ROOT / "engine" / "world.py"])


def test_no_file_is_two_nouns() -> None:
    def rule(file: Path) -> Iterator[str]:
        if (count := len(file.read_text(encoding="utf-8").splitlines())) > 500:
            yield f"{count} lines"

    assert_kept(rule)


def test_no_error_is_swallowed_unseen() -> None:
    def rule(file: Path) -> Iterator[str]:
        for node in nodes(file):
            if not isinstance(node, ast.ExceptHandler):
                continue
            if node.type is None:
                yield f"line {node.lineno}: a bare except"
            elif dotted(node.type) == "BaseException" and not any(isinstance(e, ast.Raise) for e in ast.walk(node)):
                yield f"line {node.lineno}: BaseException is swallowed"

    assert_kept(rule)


def test_every_module_says_what_it_is() -> None:
    def rule(file: Path) -> Iterator[str]:
        module = nodes(file)[0]
        assert isinstance(module, ast.Module)
        if not ast.get_docstring(module):
            yield "no docstring"

    assert_kept(rule)


def test_no_text_stands_for_nothing() -> None:
    """A line of a longer text outside of its brackets is dropped without a word: a help text loses its end that way."""

    def rule(file: Path) -> Iterator[str]:
        lines = file.read_text(encoding="utf-8").splitlines()
        for node in nodes(file):
            if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
                continue
            if isinstance(node.value.value, str) and not lines[node.lineno - 1].lstrip().startswith(('"""', 'r"""')):
                yield f"line {node.lineno}: this text is nobody's"

    assert_kept(rule)
