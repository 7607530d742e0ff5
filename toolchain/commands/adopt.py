"""Lost state: fills what runs on the engine into a file of `pulumi preview --import-file`.

`python3 -m toolchain.commands.adopt STACK FILE [NAME=ID …]` writes FILE anew, with what was found alone.
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
from toolchain.terminal.processes import ask
from toolchain.terminal.progress import Progress

# How docker lists each type that a lost stack may have left, as lines of name=id.
LISTS = {
    "docker:index/container:Container": "ps --all --no-trunc --format {{.Names}}={{.ID}}",
    "docker:index/network:Network": "network ls --no-trunc --format {{.Name}}={{.ID}}",
    "docker:index/volume:Volume": "volume ls --format {{.Name}}={{.Name}}",
}
# All that is worth keeping of a Swarm's stack lies in volumes of a fixed name, on the nodes.
SWARM = (
    "The stack {stack} is a Swarm's (llm-stack:orchestrator), and its services cannot be adopted. "
    "Nothing was changed. Remove them on a manager, and have them made anew:\n"
    "    docker service rm $(docker service ls -qf label={label})\n"
    "    pulumi up --stack {stack}\n"
    "Models and the monitor's history stay in their volumes, and are found again by name."
)


def adopt(
    resources: Iterable[Mapping[str, Any]],
    stack: str,
    on_engine: Mapping[str, Mapping[str, str]],
    given: Mapping[str, str],
) -> tuple[list[dict[str, Any]], list[str]]:
    """The resources whose id is known, and the names of those that the update will make anew.

    :param on_engine: by type, the id of each thing that docker lists, by its name.
    :param given: ids of what no engine knows, by the resource's name.
    """
    adopted, left = [], []
    for resource in resources:
        if resource.get("component"):
            adopted.append(dict(resource))
            continue
        name = resource.get("logicalName", resource["name"])
        # Pulumi adds seven digits to a name; a volume of models has the stack before it instead.
        pattern = rf"{re.escape(name)}-[0-9a-f]{{7}}|{re.escape(f'{stack}-{name}')}"
        known = on_engine.get(resource["type"], {})
        found = [known[one] for one in known if re.fullmatch(pattern, one)]
        ids = [given[name]] if name in given else found
        if len(ids) == 1:
            adopted.append({**resource, "id": ids[0]})
        else:
            left.append(f"{name} ({len(ids)} on the engine)" if ids else name)
    return adopted, left


def listed(arguments: str, stack: str, environment: Mapping[str, str]) -> dict[str, str]:
    """What docker lists of a stack, by name; raises `SetupError` where it lists nothing at all."""
    command = ["docker", *arguments.split(), "--filter", f"label={NAME}.stack={stack}"]
    answer = ask(command, env=environment)
    if not answer.ok:
        raise SetupError(f"The engine does not tell what runs:\n{answer.err.strip()}")
    return dict(line.split("=", 1) for line in answer.out.splitlines())


def fill_in(project: Project, stack: str, path: Path, given: Mapping[str, str]) -> str:
    """Fill in the file, and say what of it the next update will make anew; raises `SetupError`."""
    pulumi = PulumiCommand(project, Progress(), stack)
    if pulumi.setting(f"{NAME}:orchestrator") == "swarm":
        raise SetupError(SWARM.format(stack=stack, label=f"{NAME}.stack={stack}"))
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SetupError(
            f"{path} cannot be read ({error}). Make it first: pulumi preview --import-file {path}"
        ) from None
    environment = pulumi.docker_environment()
    on_engine = {kind: listed(arguments, stack, environment) for kind, arguments in LISTS.items()}
    content["resources"], left = adopt(content["resources"], stack, on_engine, given)
    path.write_text(json.dumps(content, indent=2), encoding="utf-8")
    found = [one for one in content["resources"] if not one.get("component")]
    return f"Found {len(found)}. The next update makes anew: {', '.join(left) or 'nothing'}."


def pair(text: str) -> tuple[str, str]:
    """`NAME=ID` as both."""
    name, equals, id_ = text.partition("=")
    if not (name and equals and id_):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=ID")
    return name, id_


def main(project: Project, arguments: Sequence[str]) -> None:
    """Run the command; exits with 1 and what is wrong where it can do nothing."""
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
