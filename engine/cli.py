"""The `engine` command: its parser, and `serve` and `doctor`; the others are in `commands/`.

Standard output has only the result (a token, a table, events as JSON lines, findings); everything else goes to standard
error. Exit codes: 0 done; 1 not done, with one line on standard error that says why; 2 wrong usage or configuration;
3 the engine does not run or does not answer; 130 ended by Ctrl-C. Whatever the umask, files that a command creates are
for this user alone. Each command imports what it needs when it runs, so that short ones start quickly.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from engine.commands import (
    account,
    audit,
    backup,
    completion,
    events,
    import_,
    logs,
    outbox,
    people,
    send,
    suppression,
    tokens,
    vault,
    webhooks,
    where,
)
from engine.commands.client import Unreachable
from engine.commands.target import config_file, refuse_left_behind
from engine.commands.terminal import PROGRAM, complain
from engine.errors import ConfigError, EngineError
from engine.version import VERSION

DONE, NOT_DONE, WRONG, NO_ENGINE, INTERRUPTED = 0, 1, 2, 3, 130
YOUNG_OBJECTS = 5000
"""New objects after which garbage is collected. With Python's 700, collections are a twentieth of accepting a message;
nearly all that they look at belongs to requests under way."""

EXAMPLES = """\
examples:
  engine doctor                                  check that everything is ready for a start
  engine serve                                   run the engine in the foreground
  engine where                                   show which engine commands work on here
  engine account add jane --email jane@example.com
  engine send jane --to friend@example.net --subject Hello --text "Hello!" --wait
  engine tokens issue -d "my app" -s "*"         create an API token for a program
  engine people link                             print a link at which you choose a password for the pages
  engine events tail                             follow the events, one JSON line each
  engine backup /backup/monday                   copy the data folder while the engine runs

Which engine: --config FILE, else ENGINE_CONFIG or ENGINE_STORE__PATH, else the running engine that was started in the
current folder, else ./config.toml, else ./data. ENGINE_<SECTION>__<KEY> overrides the file, as in
ENGINE_HTTP__PORT=3100. Commands reach the engine through the control socket in its data folder and need no token.

exit codes:
  0 done   1 not done   2 wrong usage or configuration   3 the engine does not run or answer   130 Ctrl-C
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Raises `SystemExit` where argparse does: `--help`, `--version`, wrong usage.
    """
    options = make_parser().parse_args(arguments)
    os.umask(0o077)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        code = run(options)
        sys.stdout.flush()
    except ConfigError as error:
        complain(str(error))
        return WRONG
    except Unreachable as error:
        complain(str(error))
        return NO_ENGINE
    except EngineError as error:
        complain(str(error))
        return NOT_DONE
    except BrokenPipeError:
        # The reader of our output has gone; the interpreter must not fail when it flushes the rest on exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"{PROGRAM} {VERSION}")
        parser.exit()


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    common, shown = argparse.ArgumentParser(add_help=False), argparse.ArgumentParser(add_help=False)
    _add_config(common, argparse.SUPPRESS)
    _add_config(shown, argparse.SUPPRESS)
    _add_shown(shown, argparse.SUPPRESS)
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="A self-hosted email API.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_config(parser, None)
    _add_shown(parser, False)
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add_with(parent: argparse.ArgumentParser) -> Callable[..., argparse.ArgumentParser]:
        def add(
            group: argparse._SubParsersAction[argparse.ArgumentParser],
            name: str,
            text: str,
            run: Callable[[argparse.Namespace], int],
            epilog: str | None = None,
        ) -> argparse.ArgumentParser:
            command = group.add_parser(
                name,
                help=text,
                description=f"{text[0].upper()}{text[1:]}.",
                epilog=epilog,
                parents=[parent],
                formatter_class=argparse.RawDescriptionHelpFormatter,
            )
            command.set_defaults(run=run)
            return command

        return add

    add, silent = add_with(shown), add_with(common)
    silent(commands, "serve", "run the engine in the foreground until it is stopped", _serve)
    add(commands, "doctor", "check everything that a start needs, without changing anything", _doctor)
    where.register(commands, add)
    account.register(commands, add)
    send.register(commands, add)
    outbox.register(commands, add)
    logs.register(commands, add)
    events.register(commands, add)
    webhooks.register(commands, add)
    suppression.register(commands, add)
    tokens.register(commands, add)
    people.register(commands, add)
    audit.register(commands, add)
    vault.register(commands, add)
    backup.register(commands, add)
    import_.register(commands, add)
    completion.register(commands, silent, make_parser)
    return parser


def _add_config(parser: argparse.ArgumentParser, default: object) -> None:
    parser.add_argument(
        "--config", metavar="FILE", type=Path, default=default, help="configuration file; see: engine where"
    )


def _add_shown(parser: argparse.ArgumentParser, default: object) -> None:
    parser.add_argument("--json", action="store_true", default=default, help="print JSON, one line per item")
    parser.add_argument("-q", "--quiet", action="store_true", default=default, help="do not print the data folder")


def _serve(options: argparse.Namespace) -> int:
    from engine.config import load

    file = config_file(options)
    config = load(file, os.environ)
    refuse_left_behind(file, config)
    # Imported modules stay; a garbage collection that scans them would stop everything for 30 ms.
    gc.disable()
    from engine.app import serve

    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)
    gc.enable()
    return serve(config, file)


def _doctor(options: argparse.Namespace) -> int:
    from engine import doctor
    from engine.commands.target import find
    from engine.commands.terminal import coloured, progress, put_json

    with progress("checking everything"):
        findings = doctor.examine(lambda: find(options))
    for finding in findings:
        if options.json:
            put_json({"ok": finding.ok, "subject": finding.subject, "text": finding.text})
        else:
            mark, rest = finding.line[:3], finding.line[3:]
            print(f"{coloured(mark.strip(), mark)}{rest}")
    return DONE if all(finding.ok for finding in findings) else NOT_DONE
