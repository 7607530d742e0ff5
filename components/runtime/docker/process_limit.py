"""A limit on the processes of one container, which the provider of Pulumi's cannot set."""

from __future__ import annotations

import pulumi

from components.engine.client import docker_client


def limit_processes(container_id: str, limit: int, docker_host: str | None) -> None:
    """Limit the processes and threads of a container, for as long as it exists.

    It is the container's own, by its cgroup. The ulimit nproc is not: the kernel counts that over
    all containers of one user.
    """
    from docker.errors import DockerException

    client = docker_client(docker_host)
    try:
        api = client.api
        # Docker's client for Python has no argument for it.
        url = f"{api.base_url}/v{api.api_version}/containers/{container_id}/update"
        answer = api.post(url, json={"PidsLimit": limit})
        if not answer.ok:
            raise DockerException(answer.text)
    except (DockerException, OSError) as error:
        pulumi.log.warn(f"the processes of container {container_id[:12]} have no limit: {error}")
    finally:
        client.close()
