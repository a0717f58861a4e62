"""``python -m benchmarks COMMAND``."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module

#: Command -> its module. Only what is asked for is imported: some need packages that others do not.
COMMANDS = {
    "detect": "detect",
    "analyze": "analyze",
    "find": "find",
    "index": "index",
    "border": "border",
    "decode": "decode",
    "haar": "haar",
    "represent": "represent",
    "precision": "precision",
    "retinaface": "retinaface",
    "lfw": "lfw",
    "memory": "memory",
    "packages": "packages",
    "pipeline": "pipeline",
    "serve": "serve",
    "serve-soak": "serve_soak",
    "soak": "soak",
    "differences": "differences",
    "import": "imports",
    "profile": "profiling",
    "projection": "projection",
    "report": "page",
}


def parser(name: str = "") -> argparse.ArgumentParser:
    """The command line, of one command or of all."""
    found = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = found.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in [name] if name in COMMANDS else COMMANDS:
        module = import_module(f"benchmarks.{COMMANDS[command]}")
        options = commands.add_parser(command, help=module.HELP, description=module.HELP)
        module.add_arguments(options)
        options.set_defaults(run=module.run)
    return found


def main(arguments: list[str]) -> int:
    """Run one command; its exit code."""
    args = parser(*arguments[:1]).parse_args(arguments)
    code: int = args.run(args)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
