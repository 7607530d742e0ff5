"""Lost state: fills what runs on the engine into a file of `pulumi preview --import-file`.

`python3 -m toolchain.adopt STACK FILE [NAME=ID …]` writes FILE anew, with what was found alone.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .project import NAME

# How docker lists each type that a lost stack may have left, as lines of name=id.
LISTS = {
    "docker:index/container:Container": "ps --all --no-trunc --format {{.Names}}={{.ID}}",
    "docker:index/network:Network": "network ls --no-trunc --format {{.Name}}={{.ID}}",
    "docker:index/volume:Volume": "volume ls --format {{.Name}}={{.Name}}",
}


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


def listed(arguments: str, stack: str) -> dict[str, str]:
    """What docker lists of a stack, by name."""
    command = ["docker", *arguments.split(), "--filter", f"label={NAME}.stack={stack}"]
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return dict(line.split("=", 1) for line in lines.splitlines())


def main(stack: str, file: str, *pairs: str) -> None:
    """Fill in the file, and tell what of it the next update will make anew."""
    path = Path(file)
    content = json.loads(path.read_text(encoding="utf-8"))
    on_engine = {kind: listed(arguments, stack) for kind, arguments in LISTS.items()}
    given = dict(pair.split("=", 1) for pair in pairs)
    content["resources"], left = adopt(content["resources"], stack, on_engine, given)
    path.write_text(json.dumps(content, indent=2), encoding="utf-8")
    found = [one for one in content["resources"] if not one.get("component")]
    print(f"Found {len(found)}. The next update makes anew: {', '.join(left) or 'nothing'}.")


if __name__ == "__main__":
    main(*sys.argv[1:])
