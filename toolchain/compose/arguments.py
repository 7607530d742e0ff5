"""The arguments of `./dev import`."""

from __future__ import annotations

import argparse
from pathlib import Path

from toolchain.project import DEV_STACK

SUMMARY = "make entries of the catalogue from compose files"
_DESCRIPTION = """\
Reads one or several compose files and prints the entries of the catalogue for their services.
Then it reports what is carried as it is, what is changed and why, what cannot be carried and what
to do instead, and the commands that set secrets and enable the services. No value of a secret is
printed or written. Only --write changes anything: it writes catalog/PROJECT.yaml, and copies small
text files to catalog/PROJECT/."""
_EXAMPLES = """\
The entries go to standard output, the report to standard error.

examples:
  ./dev import docker-compose.yml
  ./dev import compose.yaml compose.gpu.yaml --profile gpu --write
  ./dev import ../n8n/docker-compose.yml --env-file ../n8n/prod.env --write"""


def parser() -> argparse.ArgumentParser:
    """A parser of the command alone."""
    own = argparse.ArgumentParser(prog="./dev import")
    add_arguments(own)
    return own


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments to a parser of the command."""
    parser.description = _DESCRIPTION
    parser.epilog = _EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="compose files; later ones override"
    )
    parser.add_argument(
        "--write", action="store_true", help="write catalog/PROJECT.yaml in place of printing it"
    )
    parser.add_argument(
        "--force", action="store_true", help="with --write: replace files that are different"
    )
    parser.add_argument(
        "--env-file",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="variables, in place of .env beside the first file; may be repeated",
    )
    parser.add_argument(
        "--profile",
        action="append",
        default=[],
        metavar="NAME",
        help="only services of this profile, and those without one; default: all services",
    )
    parser.add_argument(
        "--project",
        metavar="NAME",
        help="name of the file in catalog/; default: the project's name in Compose",
    )
    parser.add_argument(
        "--stack",
        default=DEV_STACK,
        metavar="NAME",
        help="the stack that the printed commands are for; default: %(default)s",
    )
