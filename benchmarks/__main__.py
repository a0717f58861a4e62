"""``python -m benchmarks COMMAND``."""

from __future__ import annotations

import argparse
import sys

from benchmarks import (
    analyze,
    border,
    decode,
    detect,
    differences,
    find,
    haar,
    imports,
    index,
    lfw,
    memory,
    packages,
    page,
    pipeline,
    precision,
    profiling,
    projection,
    represent,
    retinaface,
    serve,
    serve_soak,
    soak,
)

COMMANDS = {
    "detect": detect,
    "analyze": analyze,
    "find": find,
    "index": index,
    "border": border,
    "decode": decode,
    "haar": haar,
    "represent": represent,
    "precision": precision,
    "retinaface": retinaface,
    "lfw": lfw,
    "memory": memory,
    "packages": packages,
    "pipeline": pipeline,
    "serve": serve,
    "serve-soak": serve_soak,
    "soak": soak,
    "differences": differences,
    "import": imports,
    "profile": profiling,
    "projection": projection,
    "report": page,
}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = found.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        command = commands.add_parser(name, help=module.HELP, description=module.HELP)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return found


def main(arguments: list[str] | None = None) -> int:
    """Run one command; its exit code."""
    args = parser().parse_args(arguments)
    code: int = args.run(args)
    return code


if __name__ == "__main__":
    sys.exit(main())
