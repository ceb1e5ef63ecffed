"""The command line. It parses, calls, and prints; nothing here loads torch before a command really runs."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from cutmix.errors import CutmixError, UsageError, nearest


class Parser(argparse.ArgumentParser):
    """argparse, with the nearest name where one is unknown."""

    def error(self, message: str) -> NoReturn:
        wrong = re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message)
        if wrong:
            message += nearest(wrong[1], re.findall(r"[\w.-]+", wrong[2]))
        self.exit(2, f"{self.prog}: error: {message}\nHelp: {self.prog} --help\n")


def make_parser() -> tuple[Parser, dict[str, Parser]]:
    """The parser, and those of its commands by name."""
    from cutmix.cli import boxes, compare, data, evaluate, list_, look, predict, preview, report, test, train, transfer

    parser = Parser(
        prog="cutmix",
        description="Train strong image classifiers with mixing regularizers, and prove that they are strong.",
        epilog="Start with: cutmix train small.digits   or your own photos: cutmix train --data folder:PATH",
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    made: dict[str, Parser] = {}
    for module in (train, compare, test, evaluate, predict, look, boxes, transfer, preview, report, list_, data):
        name = module.__name__.rpartition(".")[2].rstrip("_")
        summary = (module.__doc__ or "").strip().splitlines()[0]
        made[name] = commands.add_parser(
            name,
            help=summary,
            description=module.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        module.add_arguments(made[name])
        made[name].add_argument("--debug", action="store_true", help="show the traceback of an error")
        made[name].set_defaults(run=module.run)
    return parser, made


def _version() -> str:
    from cutmix import __version__

    return f"cutmix {__version__}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns its exit code: 0, 1 for a failure, 2 for misuse, 128 + signal when stopped."""
    parser, commands = make_parser()
    args, unknown = parser.parse_known_args(argv)
    if unknown:
        flags = [option for action in commands[args.command]._actions for option in action.option_strings]
        commands[args.command].error(f"unknown argument {unknown[0]}.{nearest(unknown[0].partition('=')[0], flags)}")
    return guarded(lambda: args.run(args), args.debug)


def guarded(run: Callable[[], int], debug: bool) -> int:
    """Call ``run``; whatever goes wrong becomes a line or two and an exit code, unless ``debug`` lets it through."""
    try:
        return run()
    except KeyboardInterrupt:
        print("cutmix: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of a pipe has left, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if debug:
            raise
        return explain(error)


def explain(error: Exception) -> int:
    """Print an error in a line or two; returns the exit code that it stands for."""
    if isinstance(error, CutmixError):
        print(f"cutmix: {error}", file=sys.stderr)
        signum = getattr(error, "signum", 0)
        return 128 + signum if signum else 2 if isinstance(error, UsageError) else 1
    first = (str(error).splitlines() or [""])[0]
    print(f"cutmix: {type(error).__name__}: {first}\nWith --debug the whole traceback is shown.", file=sys.stderr)
    return 1
