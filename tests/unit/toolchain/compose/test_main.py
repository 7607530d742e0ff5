"""`./dev import` as a person calls it: output, files, exit codes, and no secret anywhere."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.unit.toolchain.compose.conftest import Files, checker
from toolchain.compose import __main__ as command
from toolchain.compose import arguments
from toolchain.compose.problems import ComposeError

ROOT = Path(__file__).resolve().parents[4]
SHOP = """
name: shop
services:
  db:
    image: postgres:17
    environment: {POSTGRES_USER: shop, POSTGRES_PASSWORD: "${DB_PASSWORD:-changeme}"}
    volumes: ["rows:/var/lib/postgresql/data"]
    healthcheck: {test: [CMD, pg_isready], interval: 10s}
    logging: {driver: json-file}
  app_server:
    image: example/shop:1.4
    command: serve --token ${APP_TOKEN}
    environment:
      DATABASE_URL: postgresql://shop:${DB_PASSWORD:-changeme}@db/shop
      MODE: ${MODE:-production}
      OPENAI_API_KEY: ${OPENAI_API_KEY}
    ports: ["8000:8000"]
    volumes: ["./shop.toml:/etc/shop.toml:ro", "./uploads:/uploads"]
    depends_on: {db: {condition: service_healthy}}
    networks: [front]
  tunnel:
    image: cloudflare/cloudflared
    command: tunnel run --token ${TUNNEL_TOKEN}
    depends_on: [app_server]
  agent:
    image: example/agent:1
    privileged: true
networks: {front: {}}
"""


@dataclass
class Called:
    code: int
    out: str
    err: str


Call = Callable[..., Called]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout with a catalogue; its loader is that of the project."""
    path = tmp_path / "checkout"
    (path / "catalog").mkdir(parents=True)
    (path / "docker").mkdir()
    (path / "app").mkdir()
    shutil.copy(ROOT / "services.yaml", path)
    (path / "components").symlink_to(ROOT / "components")
    (path / ".venv").symlink_to(ROOT / ".venv")
    return path


@pytest.fixture
def call(
    root: Path,
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Call:
    """Calls the command in the compose file's folder."""
    # The same check as the command's own, without a process for each.
    monkeypatch.setattr(command, "problems_of", checker(tmp_path / "copies"))

    def run(*args: str, **environment: str) -> Called:
        parser = arguments.parser()
        code = command.run(
            parser.parse_args(args), root, {"LLM_STACK_CALLER": str(folder), **environment}
        )
        captured = capsys.readouterr()
        return Called(code, captured.out, captured.err)

    return run


def test_entries_and_report(call: Call, write: Files, root: Path) -> None:
    """The whole output, as a person reads it."""
    write("compose.yml", SHOP)
    write("shop.toml", "title = 1\n")
    write("uploads/one.png", "x")
    called = call("compose.yml")
    assert called.code == command.INCOMPLETE
    assert called.out == (Path(__file__).parent / "shop.yaml").read_text()
    report = called.err.replace(str(root.parent), "/home/me")
    assert report == (Path(__file__).parent / "shop.txt").read_text()
    assert not list((root / "catalog").iterdir())


def test_write(call: Call, write: Files, root: Path) -> None:
    write("compose.yml", SHOP)
    write("shop.toml", "title = 1\n")
    called = call("compose.yml", "--write")
    assert called.out == ""
    assert "wrote catalog/shop.yaml" in called.err
    written = (root / "catalog" / "shop.yaml").read_text()
    assert written == (Path(__file__).parent / "shop.yaml").read_text()
    assert (root / "catalog" / "shop" / "shop.toml").read_text() == "title = 1\n"


def test_writing_twice_changes_nothing(call: Call, write: Files, root: Path) -> None:
    write("compose.yml", SHOP)
    write("shop.toml", "title = 1\n")
    call("compose.yml", "--write")
    before = {path: path.stat().st_mtime_ns for path in (root / "catalog").rglob("*")}
    called = call("compose.yml", "--write")
    assert "catalog/shop.yaml has this content already" in called.err
    assert {path: path.stat().st_mtime_ns for path in (root / "catalog").rglob("*")} == before


@pytest.mark.parametrize("changed", ["shop.yaml", "shop/shop.toml"])
def test_a_file_that_differs_is_replaced_only_by_force(
    call: Call, write: Files, root: Path, changed: str
) -> None:
    write("compose.yml", SHOP)
    write("shop.toml", "title = 1\n")
    call("compose.yml", "--write")
    file = root / "catalog" / changed
    file.write_text(f"{file.read_text()}# mine\n")
    before = file.read_text()
    with pytest.raises(ComposeError) as caught:
        call("compose.yml", "--write")
    assert f"catalog/{changed}: exists, and is different; nothing was written" in str(caught.value)
    assert "--force" in str(caught.value)
    assert file.read_text() == before
    call("compose.yml", "--write", "--force")
    assert file.read_text() != before


MARKS = [f"hunter{at}MarkerValue{at}x9" for at in range(16)]


def test_no_value_of_a_secret_is_in_any_output(call: Call, write: Files, root: Path) -> None:
    write("values.env", f"FILE_PASSWORD={MARKS[0]}\nURL=https://me:{MARKS[1]}@example.com/\n")
    write(".env", f"SHELL_TOKEN={MARKS[2]}\nPLAIN_SOUNDING=sk-{MARKS[3]}\n")
    write("key.txt", MARKS[4])
    write("app.yaml", f"password: {MARKS[5]}\n")
    write(
        "compose.yml",
        f"""
        x-note: {MARKS[6]}
        services:
          app:
            image: example/app:1
            env_file: values.env
            environment:
              DB_PASSWORD: {MARKS[7]}
              DATABASE_URL: postgres://u:{MARKS[8]}@db/x
              PLAIN: ${{PLAIN_SOUNDING}}
              TOKEN: ${{SHELL_TOKEN}}
              REPEATED: "again {MARKS[7]}"
              DEFAULT: ${{API_KEY:-{MARKS[9]}}}
            command: run --password {MARKS[10]} --secret={MARKS[11]} postgres://u:{MARKS[8]}@db
            labels: {{token: {MARKS[12]}, note: "has {MARKS[7]}"}}
            healthcheck: {{test: "curl -u x:{MARKS[7]} --token {MARKS[13]} localhost"}}
            extra_hosts: ["{MARKS[7]}:1.2.3.4"]
            volumes: ["./app.yaml:/app.yaml:ro", "./key.txt:/key.txt:ro"]
            secrets: [key]
            configs: [given]
            build: {{context: ., args: {{TOKEN: {MARKS[14]}}}}}
          db:
            image: postgres:17
            command: sh -c 'PGPASSWORD={MARKS[15]} exec postgres'
            privileged: true
            environment: {{POSTGRES_PASSWORD: {MARKS[7]}}}
        secrets: {{key: {{file: ./key.txt}}}}
        configs: {{given: {{content: "password: {MARKS[5]}"}}}}
        """,
    )
    for args in (("compose.yml",), ("compose.yml", "--write")):
        called = call(*args)
        for mark in MARKS:
            assert mark not in called.out
            assert mark not in called.err
    written = [path for path in (root / "catalog").rglob("*") if path.is_file()]
    assert root / "catalog" / "shop.yaml" in written
    assert not [(path.name, mark) for path in written for mark in MARKS if mark in path.read_text()]


def test_problems_are_printed_without_a_traceback(
    write: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write("compose.yml", "services: {app: {ports: [hunter2]}}\n")
    assert command.main([str(file)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(
        "error: compose.yml:1: services.app.ports: has a wrong form; found text"
    )
    assert "hunter2" not in error


def test_an_entry_that_the_catalogue_refuses_is_left_out(call: Call, write: Files) -> None:
    write(
        "compose.yml",
        """
        services:
          app: {image: 'Upper/Case:1', ports: ["80:80"]}
          web: {image: 'b:1', depends_on: [app]}
        """,
    )
    called = call("compose.yml")
    assert called.code == command.INCOMPLETE
    services = yaml.safe_load(called.out)["services"]
    assert set(services) == {"web"}
    assert "depends_on" not in services["web"]
    assert "is not a valid image reference" in " ".join(called.err.split())


def test_services_that_the_stack_has_are_kept(call: Call, write: Files, root: Path) -> None:
    write("compose.yml", "services: {app: {image: 'a:1'}, web: {image: 'b:1'}}\n")
    (root / "Pulumi.prod.yaml").write_text("config: {llm-stack:services: [chat-interface, web]}\n")
    called = call("compose.yml", "--stack", "prod")
    assert called.code == 0
    listed = '["chat-interface", "web", "app"]'
    assert f"pulumi config set llm-stack:services '{listed}' --stack prod" in called.err


def test_a_project_has_the_given_name(call: Call, write: Files) -> None:
    write("compose.yml", "services: {app: {image: 'a:1'}}\n")
    assert "catalog/other.yaml: 1 of 1 services" in call("compose.yml", "--project", "Other").err


def test_a_ready_entry_of_the_same_name_is_not_replaced(
    call: Call, write: Files, root: Path
) -> None:
    ready = root / "catalog" / "shop.yaml"
    ready.write_text("services: {shop: {kind: container, image: 'a:1'}}\n")
    write("compose.yml", "name: shop\nservices: {shop: {image: 'a:1'}}\n")
    called = call("compose.yml", "--write")
    assert "wrote catalog/shop-compose.yaml" in called.err
    assert ready.read_text().startswith("services: {shop:")
    written = yaml.safe_load((root / "catalog" / "shop-compose.yaml").read_text())
    assert written["services"]["shop-compose-shop"]["aliases"] == ["shop"]
