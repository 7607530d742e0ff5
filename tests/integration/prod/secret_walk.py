"""Searches for secrets in plain text in states, logs, containers, images and volumes."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Mapping

from tests.integration.prod.conftest import ProdStack


def places_in_plain_text(
    stack: ProdStack, secrets: Mapping[str, str], outputs: Mapping[str, str]
) -> list[str]:
    """`secret: place` for each secret in plain text; `outputs` are further texts to search."""
    places = {**dict(_places(stack)), **outputs}
    assert len(places) > 10, "too few places were searched"
    return [
        f"{name}: {place}"
        for name, value in secrets.items()
        for place, text in places.items()
        if value in text
    ]


def secret_files(stack: ProdStack) -> dict[str, str]:
    """Every secret file in the stack's containers, by service and name."""
    found = {}
    for service, container in stack.containers().items():
        if not any(mount["Destination"] == "/run/secrets" for mount in container.attrs["Mounts"]):
            continue
        stream, _ = container.get_archive("/run/secrets")
        with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
            for member in archive.getmembers():
                if file := archive.extractfile(member):
                    found[f"{service} {member.name}"] = file.read().decode().strip()
    return found


def _places(stack: ProdStack) -> Iterator[tuple[str, str]]:
    yield "state", stack.state()
    yield "stack outputs", stack.pulumi("stack", "output", "--json").stdout
    yield "settings file", stack.settings_file.read_text(encoding="utf-8")
    yield "preview", stack.pulumi("preview", "--diff", "--json").stdout
    yield "history", stack.pulumi("stack", "history", "--json").stdout
    images = set()
    for container in stack.containers(running=False).values():
        container.reload()
        yield f"docker inspect {container.name}", json.dumps(container.attrs)
        yield f"docker logs {container.name}", container.logs().decode("utf-8", "replace")
        if container.status == "running":
            yield f"docker top {container.name}", json.dumps(container.top(ps_args="-eo pid,args"))
        images.add(container.attrs["Image"])
    for image_id in images:
        image = stack.engine.images.get(image_id)
        yield f"docker history {image.tags}", json.dumps([image.attrs, image.history()])
    for volume in stack.engine.volumes.list(filters={"label": f"llm-stack.stack={stack.name}"}):
        yield f"docker volume inspect {volume.name}", json.dumps(volume.attrs)
