"""`engine completion bash|zsh`: a script that lets the shell complete commands and options.

The command makes it from the parser. It contains all words, so that completing starts no process.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

from engine.commands.common import Add

EXAMPLES = """\
examples:
  eval "$(engine completion bash)"                               for this shell; in ~/.bashrc for every shell
  engine completion bash > /etc/bash_completion.d/engine         for all users
  engine completion zsh > "${fpath[1]}/_engine"                  zsh, after which: autoload -Uz compinit && compinit
"""

_BASH = """\
# Completion of `engine` for bash.
_engine() {
    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} command=engine each
    for each in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case "$command $each" in
%(paths)s) command="$command $each" ;;
        esac
    done
    COMPREPLY=()
    case "$command $previous" in
%(files)s) compopt -o default; return ;;
%(values)s) return ;;
    esac
    case "$command" in
%(words)s
    esac
    [ ${#COMPREPLY[@]} -gt 0 ] || compopt -o default
}
complete -F _engine engine
"""
_ZSH = """\
#compdef engine
# Completion of `engine` for zsh.
_engine() {
    local command=engine each
    local -a words_here
    for each in "${(@)words[2,CURRENT-1]}"; do
        case "$command $each" in
%(paths)s) command="$command $each" ;;
        esac
    done
    case "$command ${words[CURRENT-1]}" in
%(files)s) _files; return ;;
%(values)s) _message value; return ;;
    esac
    case "$command" in
%(words)s
    esac
    if (( $#words_here )) && [[ $PREFIX == -* || -z ${(M)words_here:#[^-]*} ]]; then
        _describe -o option words_here || _files
    else
        _describe command words_here || _files
    fi
}
if [ "$funcstack[1]" = "_engine" ]; then _engine "$@"; else compdef _engine engine; fi
"""
_FILES = ("FILE", "DEST")


def register(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    add: Add,
    make_parser: Callable[[], argparse.ArgumentParser],
) -> None:
    """Add the command; `make_parser` makes the parser whose words the script completes."""

    def run(options: argparse.Namespace) -> int:
        print({"bash": bash, "zsh": zsh}[options.shell](make_parser()), end="")
        return 0

    command = add(commands, "completion", "print a script that completes commands in a shell", run, EXAMPLES)
    command.add_argument("shell", choices=("bash", "zsh"), help="which shell")


def bash(parser: argparse.ArgumentParser) -> str:
    """The script for bash."""

    def words(command: argparse.ArgumentParser) -> str:
        every = " ".join(word for word, _ in _words(command))
        return f'COMPREPLY=($(compgen -W "{every}" -- "$word"))'

    return _BASH % _parts(parser, words)


def zsh(parser: argparse.ArgumentParser) -> str:
    """The script for zsh."""

    def words(command: argparse.ArgumentParser) -> str:
        every = " ".join(_quoted(f"{word}:{help_}" if help_ else word) for word, help_ in _words(command))
        return f"words_here=({every})"

    return _ZSH % _parts(parser, words)


def _parts(parser: argparse.ArgumentParser, words: Callable[[argparse.ArgumentParser], str]) -> dict[str, str]:
    """What both scripts are made of: the paths of all commands, the options that take a file or a value, the words."""
    every = list(_commands(parser, "engine"))
    files: list[str] = []
    values: list[str] = []
    for path, command in every:
        for action in _options(command):
            takes = files if action.metavar in _FILES else values
            takes += [f"{path} {each}" for each in action.option_strings if action.nargs != 0]
    indent = " " * 8
    return {
        "paths": indent + "|".join(_quoted(path) for path, _ in every[1:]),
        "files": indent + "|".join(map(_quoted, files)),
        "values": indent + "|".join(map(_quoted, values)),
        "words": "\n".join(f"{indent}{_quoted(path)}) {words(command)} ;;" for path, command in every),
    }


def _commands(parser: argparse.ArgumentParser, path: str) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    yield path, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, command in action.choices.items():
                yield from _commands(command, f"{path} {name}")


def _words(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    """The commands below this one, the choices of its arguments, and its options, each with what it does."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for each in action._get_subactions():
                yield each.dest, each.help or ""
        elif not action.option_strings and action.choices:
            yield from ((str(each), "") for each in action.choices)
    for action in _options(parser):
        yield from ((each, action.help or "") for each in action.option_strings if each.startswith("--"))


def _options(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    return (action for action in parser._actions if action.option_strings)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
