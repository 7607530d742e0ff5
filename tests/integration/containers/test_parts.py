"""A chat page with its database, cache, model servers and Prometheus: the life of such a stack."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import docker
import httpx
import pytest
import yaml
from openai import OpenAI

from tests.integration.containers.conftest import PartsStack, output_of
from tests.integration.swarm.rig import wait_for

TIMEOUT_SECONDS = 60.0
JOB = "migrate"
CHANGED_TABLES = "INSERT INTO notes SELECT note FROM later;\n"


@pytest.fixture(scope="module")
def gateway(parts: PartsStack) -> Iterator[OpenAI]:
    """OpenAI's client in front of the stack."""
    url = f"{parts.url('chat-interface')}/v1"
    with OpenAI(base_url=url, api_key=parts.key, max_retries=0) as client:
        wait_for(lambda: ready_models(parts) == {"small-chat", "small-embedding"}, 60, "models")
        yield client


def ready_models(parts: PartsStack) -> set[str]:
    key = {"authorization": f"Bearer {parts.key}"}
    models = httpx.get(f"{parts.url('chat-interface')}/v1/models", headers=key).json()["data"]
    return {model["id"] for model in models if model["state"] == "ready"}


def targets(parts: PartsStack) -> dict[str, str]:
    """The health of Prometheus' targets, by job and name."""
    found = httpx.get(f"{parts.url('prometheus')}/api/v1/targets?state=active").json()["data"]
    return {
        f"{target['labels']['job']} {target['labels'].get('server', '')}".strip(): target["health"]
        for target in found["activeTargets"]
    }


def sql(parts: PartsStack, statement: str) -> str:
    """The output of a statement in the stack's database."""
    words = ["psql", "--host=/run/postgresql", "--username=stack", "--no-align", "--tuples-only"]
    return output_of(parts.containers()["postgres"], *words, f"--command={statement}")


def changed(before: dict[str, str | None], after: dict[str, str | None]) -> set[str]:
    return {name for name in after if after[name] != before.get(name)}


def test_one_up_starts_every_service(parts: PartsStack) -> None:
    containers = parts.containers()
    assert set(containers) == {*parts.settings["services"], "monitor", "restarter"}
    for name, container in containers.items():
        expected = "exited" if name == JOB else "running"
        assert container.status == expected, name
    assert containers[JOB].attrs["State"]["ExitCode"] == 0


def test_a_preview_after_up_has_no_changes(parts: PartsStack) -> None:
    parts.pulumi("preview", "--expect-no-changes")


def test_a_refresh_finds_no_changes(parts: PartsStack) -> None:
    parts.pulumi("refresh", "--yes", "--skip-preview", "--expect-no-changes")


def test_the_gateway_reaches_both_model_servers(gateway: OpenAI) -> None:
    chat = gateway.chat.completions.create(
        model="small-chat", messages=[{"role": "user", "content": "Hello"}], max_tokens=8
    )
    assert chat.choices[0].message.content
    vectors = gateway.embeddings.create(model="small-embedding", input=["Hello", "Who are you?"])
    first, second = (entry.embedding for entry in vectors.data)
    assert len(first) == len(second) > 8
    assert first != second


def test_an_answer_of_a_model_server_streams(gateway: OpenAI) -> None:
    stream = gateway.chat.completions.create(
        model="small-chat",
        messages=[{"role": "user", "content": "Hello"}],
        max_tokens=16,
        stream=True,
    )
    assert len([chunk for chunk in stream if chunk.choices]) > 5


def test_the_gateway_answers_nobody_without_a_key(parts: PartsStack) -> None:
    assert httpx.get(f"{parts.url('chat-interface')}/v1/models").status_code == 401


def test_the_page_lists_the_models_with_its_own_key(parts: PartsStack, gateway: OpenAI) -> None:
    through_proxy = httpx.get(f"{parts.url('proxy')}/models").json()["data"]
    assert {model["id"] for model in through_proxy} >= {"small-chat", "small-embedding"}


def test_prometheus_scrapes_the_stack(parts: PartsStack) -> None:
    expected = {"llm-stack-gateway", "llm-stack-monitor", "llm-stack-prometheus"}
    wait_for(
        lambda: targets(parts) == dict.fromkeys(expected, "up"),
        TIMEOUT_SECONDS,
        "targets that are up",
    )
    rules = httpx.get(f"{parts.url('prometheus')}/api/v1/rules").json()["data"]["groups"]
    assert rules[0]["rules"]


def test_the_monitor_checks_every_service(parts: PartsStack) -> None:
    def states() -> dict[str, str]:
        services = httpx.get(f"{parts.url('monitor')}/api/v1/status").json()["services"]
        return {service["name"]: service["state"] for service in services}

    checked = {*parts.settings["services"]} - {JOB}
    wait_for(
        lambda: {name for name, state in states().items() if state in {"ok", "busy"}} >= checked,
        TIMEOUT_SECONDS,
        f"states ok: {states()}",
    )


def test_a_changed_file_restarts_only_its_service(parts: PartsStack) -> None:
    before = parts.ids()
    job = (
        "  - job_name: chat-model\n"
        "    static_configs:\n"
        '      - targets: ["chat-model:8080"]\n'
        "        labels: {server: chat-model}\n"
    )
    name = "prometheus/prometheus.yml"
    config = parts.write(name, "")
    parts.write(name, config.replace("30s", "1s") + job)
    parts.up()
    assert changed(before, parts.ids()) == {"prometheus"}
    wait_for(
        lambda: targets(parts).get("chat-model chat-model") == "up",
        TIMEOUT_SECONDS,
        "the added target",
    )


def test_volumes_belong_to_the_user_of_their_service(parts: PartsStack) -> None:
    page = f"{parts.url('page')}/notes/first"
    assert httpx.put(page, content="kept").status_code == 201
    containers = parts.containers()
    assert output_of(containers["page"], "stat", "-c", "%u:%g", "data/first") == "4321:4321"
    assert (
        output_of(containers["postgres"], "stat", "-c", "%u", "/var/lib/postgresql/data") == "999"
    )
    assert output_of(containers["redis"], "stat", "-c", "%u", "/data/appendonlydir") == "999"


def test_data_survives_an_update(parts: PartsStack) -> None:
    sql(parts, "INSERT INTO notes VALUES ('kept')")
    before = parts.ids()
    parts.edit("postgres.yaml", "cpus: 1", "cpus: 0.9")
    parts.edit("parts.yaml", "com.example.part: page", "com.example.part: other-page")
    parts.up()
    assert changed(before, parts.ids()) >= {"postgres", "page"}
    assert sql(parts, "SELECT note FROM notes") == "kept"
    assert httpx.get(f"{parts.url('page')}/notes/first").text == "kept"


def test_a_secret_is_not_in_plain_text_outside_of_its_container(parts: PartsStack) -> None:
    containers = parts.containers(running=False)
    password = output_of(containers["postgres"], "cat", "/run/secrets/postgres-password")
    assert re.fullmatch(r"[A-Za-z0-9]{32}", password)
    shown = {
        "preview": parts.pulumi("preview", "--diff").stdout,
        "outputs": parts.pulumi("stack", "output", "--json").stdout,
        "export": parts.pulumi("stack", "export").stdout,
        **{f"logs of {name}": c.logs().decode() for name, c in containers.items()},
        **{f"labels of {name}": json.dumps(c.labels) for name, c in containers.items()},
        **{
            f"inspect of {name}": json.dumps(c.attrs)
            for name, c in containers.items()
            # Their secret_environment holds it, which docs/security.md states.
            if name not in {"page", JOB}
        },
    }
    assert [place for place, text in shown.items() if password in text] == []
    files = subprocess.run(
        ["grep", "-rlF", password, parts.directory / "state", parts.project],
        capture_output=True,
        text=True,
    )
    assert files.stdout == "", "the password is in a state, a history or a file"
    # Check that the search finds the password.
    assert password in parts.pulumi("stack", "export", "--show-secrets").stdout


def test_secret_environment_reaches_the_program(parts: PartsStack) -> None:
    containers = parts.containers()
    password = output_of(containers["postgres"], "cat", "/run/secrets/postgres-password")
    url = f"DATABASE_URL=postgresql://stack:{password}@postgres:5432/stack"
    assert url in containers["page"].attrs["Config"]["Env"]


def test_problems_are_refused_before_anything_is_made(parts: PartsStack) -> None:
    before, port = parts.ids(), parts.settings["values"]["page_port"]
    broken = {
        "services": {
            "needs-secret": service(secrets=["not-set"]),
            "needs-service": service(depends_on=["postgrse"]),
            "first": service(depends_on=["second"]),
            "second": service(depends_on=["first"]),
            "takes-port": service(ports=[f"{port}:80"]),
        }
    }
    parts.write("broken.yaml", yaml.safe_dump(broken))
    parts.configure(
        **parts.settings | {"services": [*parts.settings["services"], *broken["services"]]}
    )
    refused = parts.up(check=False)
    parts.configure(**parts.settings)
    (parts.project / "catalog" / "broken.yaml").unlink()
    assert refused.returncode != 0
    output = refused.stdout + refused.stderr
    assert "Traceback" not in output
    for text in (
        r"services\.needs-secret\.secrets\.not-set: the stack does not have the secret not-set; "
        r".*run: pulumi config set --secret --path llm-stack:secrets\.not-set",
        r"services\.needs-service\.depends_on\.postgrse: is not a service; found 'postgrse'; "
        r"did you mean 'postgres'\?",
        r"services\.first\.depends_on: is a circle: first → second → first",
        rf"services\.takes-port\.ports\.0: the port is also that of page; found '127\.0\.0\.1:{port}/tcp'",
    ):
        assert re.search(r"catalog/broken\.yaml:\d+: " + text, output), (text, output)
    assert parts.ids() == before


def service(**keys: Any) -> dict[str, Any]:
    """An entry that only fails by the given keys."""
    return {"kind": "container", "image": "nginx:1.29", "port": 80, **keys}


def test_a_failed_job_shows_its_log_and_the_next_up_runs_it_again(parts: PartsStack) -> None:
    parts.write("migrations/tables.sql", CHANGED_TABLES)
    failed = parts.up(check=False)
    assert failed.returncode != 0
    assert 'relation "later" does not exist' in failed.stdout + failed.stderr, failed.stdout
    sql(parts, "CREATE TABLE later (note text)")
    sql(parts, "INSERT INTO later VALUES ('by the job')")
    parts.up()
    assert sql(parts, "SELECT count(*) FROM notes WHERE note = 'by the job'") == "1"


def test_an_image_without_a_health_check_passes_the_gate_when_it_works(parts: PartsStack) -> None:
    containers = parts.containers()
    for name in ("page", "proxy"):
        assert "Health" not in containers[name].attrs["State"], name
        assert httpx.get(f"{parts.url(name)}/health").status_code == 200


def test_an_image_without_a_health_check_fails_the_gate_when_its_port_never_opens(
    parts: PartsStack,
) -> None:
    good = parts.edit("proxy/page.conf", "listen 8000", "listen 8001")
    before = parts.ids()["proxy"]
    parts.edit(
        "parts.yaml", "port: 8000\n    start_timeout: 30", "port: 8000\n    start_timeout: 4"
    )
    failed = parts.up(check=False)
    assert failed.returncode != 0
    assert re.search(r"proxy.*8000", failed.stdout + failed.stderr), failed.stdout
    parts.write("proxy/page.conf", good)
    parts.up()
    assert parts.ids()["proxy"] != before
    assert httpx.get(f"{parts.url('proxy')}/health").status_code == 200


def test_removed_volumes_are_made_again_for_their_user(
    parts: PartsStack, engine: docker.DockerClient
) -> None:
    """The next test needs the secrets that are written again."""
    parts.containers()["redis"].remove(force=True)
    for name in ("redis", "generated-secrets"):
        engine.volumes.get(f"{parts.name}-{name}").remove()
    preview = parts.pulumi("preview").stdout
    assert f"volume {parts.name}-redis was removed outside of Pulumi" in preview
    assert f"volume {parts.name}-generated-secrets was removed outside of Pulumi" in preview
    before = parts.ids()
    parts.up()
    assert changed(before, parts.ids()) == {"redis"}
    assert output_of(parts.containers()["redis"], "stat", "-c", "%u", "/data") == "999"
    parts.pulumi("preview", "--expect-no-changes")


def test_data_survives_destroy_and_up(parts: PartsStack, engine: docker.DockerClient) -> None:
    label: dict[str, Any] = {"label": f"llm-stack.stack={parts.name}"}
    parts.pulumi("destroy", "--yes", "--skip-preview")
    assert engine.containers.list(all=True, filters=label) == []
    assert {volume.name for volume in engine.volumes.list(filters=label)} == {
        f"{parts.name}-{name}"
        for name in ("generated-secrets", "page", "postgres", "prometheus", "redis")
    }
    parts.configure(**parts.settings | {"services": ["migrate", "page", "postgres", "redis"]})
    parts.up()
    assert sql(parts, "SELECT note FROM notes WHERE note = 'kept'") == "kept"
    assert httpx.get(f"{parts.url('page')}/notes/first").text == "kept"
