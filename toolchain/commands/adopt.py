"""Recovers lost state: adds the ids of existing resources to a file for `pulumi import`.

Usage: `python3 -m toolchain.commands.adopt STACK FILE [NAME=ID …]`. FILE is the output of
`pulumi preview --import-file FILE`; it is rewritten with the resources that were found.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from toolchain.project import NAME, Project
from toolchain.stack.pulumi_command import PulumiCommand
from toolchain.terminal.errors import SetupError
from toolchain.terminal.processes import capture
from toolchain.terminal.progress import Progress

# Lists the resources of each type as lines of name=id.
LISTS = {
    "docker:index/container:Container": "ps --all --no-trunc --format {{.Names}}={{.ID}}",
    "docker:index/network:Network": "network ls --no-trunc --format {{.Name}}={{.ID}}",
    "docker:index/volume:Volume": "volume ls --format {{.Name}}={{.Name}}",
}
# A Swarm stack keeps its data in volumes with fixed names on the nodes.
SWARM = (
    "Swarm services of the stack {stack} (llm-stack:orchestrator) cannot be imported. "
    "Nothing was changed. Remove them on a manager, then recreate them:\n"
    "    docker service rm $(docker service ls -qf label={label})\n"
    "    pulumi up --stack {stack}\n"
    "Models and the monitor's history are kept in volumes, which are reused by name."
)


def adopt(
    resources: Iterable[Mapping[str, Any]],
    stack: str,
    on_engine: Mapping[str, Mapping[str, str]],
    given: Mapping[str, str],
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return resources with their ids, and the names of those that the next update creates.

    :param on_engine: by type, the ids that docker lists, by name.
    :param given: by resource name, the ids of resources that are not on the engine.
    """
    adopted, missing = [], []
    for resource in resources:
        if resource.get("component"):
            adopted.append(dict(resource))
            continue
        name = resource.get("logicalName", resource["name"])
        # Pulumi appends seven hexadecimal digits; a model volume has the stack's name as a prefix.
        pattern = rf"{re.escape(name)}-[0-9a-f]{{7}}|{re.escape(f'{stack}-{name}')}"
        known = on_engine.get(resource["type"], {})
        found = [known[one] for one in known if re.fullmatch(pattern, one)]
        ids = [given[name]] if name in given else found
        if len(ids) == 1:
            adopted.append({**resource, "id": ids[0]})
        else:
            missing.append(f"{name} ({len(ids)} on the engine)" if ids else name)
    return adopted, missing


def listed(arguments: str, stack: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Ids of a stack's resources by name; raises `SetupError` if docker fails."""
    command = ["docker", *arguments.split(), "--filter", f"label={NAME}.stack={stack}"]
    result = capture(command, env=environment)
    if not result.ok:
        raise SetupError(
            f"Docker Engine does not list the resources of the stack:\n{result.err.strip()}"
        )
    return dict(line.split("=", 1) for line in result.out.splitlines())


def fill_in(project: Project, stack: str, path: Path, given: Mapping[str, str]) -> str:
    """Rewrite the file and return a summary; raises `SetupError`."""
    pulumi = PulumiCommand(project, Progress(), stack)
    if pulumi.setting(f"{NAME}:orchestrator") == "swarm":
        raise SetupError(SWARM.format(stack=stack, label=f"{NAME}.stack={stack}"))
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SetupError(
            f"{path} cannot be read ({error}). Create it first: pulumi preview --import-file {path}"
        ) from None
    environment = pulumi.docker_environment()
    on_engine = {kind: listed(arguments, stack, environment) for kind, arguments in LISTS.items()}
    content["resources"], missing = adopt(content["resources"], stack, on_engine, given)
    path.write_text(json.dumps(content, indent=2), encoding="utf-8")
    found = [one for one in content["resources"] if not one.get("component")]
    return f"Found {len(found)}. The next update creates: {', '.join(missing) or 'nothing'}."


def pair(text: str) -> tuple[str, str]:
    """Parse `NAME=ID`."""
    name, equals, id_ = text.partition("=")
    if not (name and equals and id_):
        raise argparse.ArgumentTypeError(f"{text!r} is not a valid NAME=ID")
    return name, id_


def main(project: Project, arguments: Sequence[str]) -> None:
    """Run the command; exits with code 1 and an error message on failure."""
    parser = argparse.ArgumentParser(
        prog="python3 -m toolchain.commands.adopt", description=__doc__
    )
    parser.add_argument("stack", metavar="STACK")
    parser.add_argument("file", metavar="FILE", type=Path)
    parser.add_argument("given", metavar="NAME=ID", type=pair, nargs="*", default=[])
    options = parser.parse_args(arguments)
    try:
        print(fill_in(project, options.stack, options.file, dict(options.given)))
    except SetupError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main(Project.at(Path(__file__).resolve().parents[2]), sys.argv[1:])
