"""Model hub, proxy and private certificate authorities: validation, and who receives them."""

from __future__ import annotations

import json
import ssl
from pathlib import Path
from typing import Any

import pulumi
import pytest

from app.inference.settings import ModelSettings
from components.config import network_access
from components.config.network_access import (
    MOST_PEM_BYTES,
    PROXY_VARIABLES,
    CertificateAuthorities,
    NetworkAccess,
    ProxySettings,
    with_proxy,
    write_bundle,
)
from components.images.image import NOT_COMPARED
from tests.doubles.certificates import Company, company
from tests.doubles.recording_engine import Graph, StackRunner
from tests.unit.components.runtime.swarm.test_stack import TUNNEL_TOKEN

STACK = {
    "services": ["chat-interface", "phi-inference"],
    "monitor": {"socketGroup": 999},
}
PROXY = {"http": "http://proxy.example.com:3128", "https": "http://proxy.example.com:8080"}
FILE_IN_CONTAINER = "/run/config/company-ca.pem"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Company:
    return company(tmp_path_factory.mktemp("company"))


@pytest.fixture(autouse=True)
def bundles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(network_access, "BUNDLES", tmp_path / "bundles")
    return tmp_path / "bundles"


def environment(graph: Graph, container: str) -> dict[str, str]:
    return dict(entry.split("=", 1) for entry in graph.running[container].inputs["envs"])


def refusal(run_program: StackRunner, **config: Any) -> str:
    with pytest.raises(pulumi.RunError) as refused:
        run_program({**STACK, **config}, stack="dev")
    return str(refused.value)


class TestModelHub:
    def test_inference_containers_use_the_hub(self, run_program: StackRunner) -> None:
        graph = run_program({**STACK, "modelHub": "https://hub.example.com/mirror/"})
        content = json.loads(graph.config_file("phi-inference", "model.json"))
        assert content["hub"] == "https://hub.example.com/mirror"
        assert ModelSettings.model_validate(content).hub == content["hub"]

    def test_a_bundled_model_uses_no_hub(self, run_program: StackRunner) -> None:
        graph = run_program(
            {**STACK, "modelHub": "https://h.test", "placeholderModel": "smollm2-135m"}
        )
        assert "h.test" not in graph.config_file("phi-inference", "model.json")

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (
                "hub.example.com",
                "is not a valid URL for this; found 'hub.example.com'; allowed: https://HOST",
            ),
            ("https://hub.example.com/?token=1", "is not a valid URL for this"),
            ("http://localhost:8080", "is a loopback address, which is the container itself"),
            ("https://me:pass-word@hub.example.com", "holds a user name or password"),
        ],
    )
    def test_a_url_that_containers_cannot_use_is_refused(
        self, run_program: StackRunner, value: str, expected: str
    ) -> None:
        message = refusal(run_program, modelHub=value)
        assert message.startswith("Pulumi.dev.yaml: llm-stack:modelHub: ")
        assert expected in message
        assert "pass-word" not in message


class TestProxySettings:
    @pytest.mark.parametrize(
        ("proxy", "expected"),
        [
            (
                {"https": "http://me:pass-word@proxy:3128"},
                "llm-stack:proxy.https: holds a user name or password, which everyone who may run "
                "`docker inspect` can read; allowed: http://HOST:PORT of a proxy that needs no "
                "sign-in; run: pulumi config set --path 'llm-stack:proxy.https' <value>",
            ),
            (
                {"http": "https://proxy:3128"},
                "llm-stack:proxy.http: is not a valid URL for this; found 'https://proxy:3128'; "
                "allowed: http://HOST:PORT",
            ),
            (
                {"http": "http://127.0.0.1:3128"},
                "llm-stack:proxy.http: is a loopback address, which is the container itself in "
                "containers and builds; found 'http://127.0.0.1:3128'; allowed: http://HOST:PORT, "
                "with a name or address of the machine that others reach it by",
            ),
            ({"http": "http://proxy:99999"}, "llm-stack:proxy.http: is not a valid URL"),
            ({"http": "http://proxy/path"}, "llm-stack:proxy.http: has a path"),
            (
                {"noProxy": ["example.com"]},
                "llm-stack:proxy: does not name a proxy; allowed: http, https or both",
            ),
            (
                {**PROXY, "noProxy": ["a.test,b.test"]},
                "llm-stack:proxy.noProxy.0: is not a host, a domain or a network; found "
                "'a.test,b.test'; allowed: git.example.com, .example.com or 10.0.0.0/8, one in each "
                "entry",
            ),
            (
                {**PROXY, "ftp": "x"},
                "llm-stack:proxy.ftp: unknown key; allowed: http, https, noProxy",
            ),
            ("http://me:pass-word@proxy:3128", "llm-stack:proxy: "),
        ],
    )
    def test_a_proxy_that_containers_cannot_use_is_refused(
        self, run_program: StackRunner, proxy: object, expected: str
    ) -> None:
        message = refusal(run_program, proxy=proxy)
        assert message.startswith(f"Pulumi.dev.yaml: {expected}")
        assert "pass-word" not in message


class TestProxyInContainers:
    @pytest.mark.parametrize("container", ["chat-interface", "phi-inference", "monitor"])
    def test_containers_with_outside_requests_have_the_variables_in_both_cases(
        self, run_program: StackRunner, container: str
    ) -> None:
        graph = run_program({**STACK, "proxy": {**PROXY, "noProxy": [".example.com"]}})
        variables = environment(graph, container)
        for scheme, address in PROXY.items():
            assert variables[f"{scheme.upper()}_PROXY"] == address
            assert variables[f"{scheme}_proxy"] == address
        assert variables["no_proxy"] == variables["NO_PROXY"]
        assert {".example.com", "localhost", "127.0.0.1"} <= {*variables["NO_PROXY"].split(",")}

    def test_services_of_the_stack_are_excluded_from_the_proxy(
        self, run_program: StackRunner
    ) -> None:
        graph = run_program(
            {
                **STACK,
                "orchestrator": "swarm",
                "swarm": {"singleNode": True},
                "replicas": {"phi-inference": 2},
                "tunnel": {"mode": "named", "access": "access", "replicas": 2},
                "gateway": {"hosts": ["chat.example.com"]},
                "proxy": PROXY,
            },
            {"cloudflareTunnelToken-chat-interface": TUNNEL_TOKEN},
        )
        specs = {n: s.inputs["taskSpec"]["containerSpec"] for n, s in graph.of("Service").items()}
        direct = {
            name: {*spec.get("env", {}).get("NO_PROXY", "").split(",")}
            for name, spec in specs.items()
        }
        every = {"chat-interface", "phi-inference", "qwen-inference", "monitor", "restarter"}
        assert every <= direct["chat-interface"] & direct["phi-inference"] & direct["monitor"]

    def test_a_new_service_does_not_change_other_containers(self, run_program: StackRunner) -> None:
        """A changed variable replaces a container, which then loads its model again."""
        one = run_program({**STACK, "proxy": PROXY})
        every = run_program({**STACK, "services": "all", "proxy": PROXY})
        assert environment(one, "phi-inference") == environment(every, "phi-inference")
        assert environment(one, "chat-interface") == environment(every, "chat-interface")

    def test_containers_without_outside_requests_do_not_have_the_proxy(
        self, run_program: StackRunner
    ) -> None:
        tunnel = {"mode": "quick", "access": "public"}
        graph = run_program({**STACK, "tunnel": tunnel, "proxy": PROXY})
        reaching = {"chat-interface", "phi-inference", "phi-inference-fetch", "monitor"}
        others = graph.running.keys() - reaching
        assert others == {"restarter", "chat-interface-tunnel-1"}
        for name in others:
            assert "proxy.example.com" not in str(graph.running[name].inputs), name

    def test_a_custom_service_has_the_proxy_unless_it_sets_one(self) -> None:
        variables = NetworkAccess(ProxySettings.model_validate(PROXY)).proxy_variables(["redis"])
        assert with_proxy({"A": "1"}, variables) == {"A": "1", **variables}
        mine = with_proxy({"https_proxy": "http://mine:1", "NO_PROXY": "all"}, variables)
        assert {n: v for n, v in mine.items() if "HTTPS" in n.upper() or "NO_" in n.upper()} == {
            "https_proxy": "http://mine:1",
            "NO_PROXY": "all",
        }
        assert mine["HTTP_PROXY"] == mine["http_proxy"] == PROXY["http"]

    def test_only_the_configured_proxy_is_set(self) -> None:
        access = NetworkAccess(ProxySettings.model_validate({"https": PROXY["https"]}))
        assert access.proxy_variables().keys() == {
            "HTTPS_PROXY",
            "https_proxy",
            "NO_PROXY",
            "no_proxy",
        }


class TestBuilds:
    def test_the_proxy_is_passed_to_builds_and_changes_no_tag(
        self, run_program: StackRunner
    ) -> None:
        without = run_program(STACK).of("RemoteImage")
        behind = run_program({**STACK, "proxy": PROXY}).of("RemoteImage")
        for name, image in behind.items():
            arguments = image.inputs["build"]["buildArgs"]
            assert arguments["HTTPS_PROXY"] == arguments["https_proxy"] == PROXY["https"]
            assert arguments["NO_PROXY"] == "localhost,127.0.0.1,::1"
            before = without[name].inputs
            assert (image.inputs["name"], image.inputs["triggers"]) == (
                before["name"],
                before["triggers"],
            )
            rest = {k: v for k, v in arguments.items() if k not in PROXY_VARIABLES}
            assert rest == before["build"]["buildArgs"]

    def test_changes_of_proxy_and_authority_are_ignored(
        self, run_program: StackRunner, certificates: Company
    ) -> None:
        """The provider replaces an image and its containers for any change of `build`."""
        config = {**STACK, "proxy": PROXY, "caFile": str(certificates.authority)}
        plain = run_program(STACK).of("RemoteImage")
        for name, image in run_program(config).of("RemoteImage").items():
            assert image.ignored == tuple(NOT_COMPARED)
            build, before = image.inputs["build"], plain[name].inputs["build"]
            added = [
                f"build.buildArgs.{n}"
                for n in build["buildArgs"].keys() - before["buildArgs"].keys()
            ]
            added += [f"build.{key}" for key in build.keys() - before.keys()]
            assert {*added} == {*NOT_COMPARED}

    def test_builds_receive_the_authority_and_the_public_ones_as_a_secret(
        self, run_program: StackRunner, certificates: Company, bundles: Path
    ) -> None:
        graph = run_program({**STACK, "caFile": str(certificates.authority)})
        (bundle,) = bundles.iterdir()
        for name, image in graph.of("RemoteImage").items():
            assert image.inputs["build"]["secrets"] == [
                {"id": "ca_bundle", "src": bundle.as_posix()}
            ], name
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(bundle)
        names = [str(certificate["subject"]) for certificate in context.get_ca_certs()]
        assert sum("Company CA" in name for name in names) == 1
        assert len(names) > 100

    def test_a_bundle_fits_into_a_buildkit_secret(self, bundles: Path) -> None:
        largest = write_bundle(CertificateAuthorities("x" * MOST_PEM_BYTES))
        assert largest.stat().st_size < 500 * 1024

    def test_every_build_step_that_downloads_mounts_the_authorities(self) -> None:
        mount = "--mount=type=secret,id=ca_bundle,target=/etc/ssl/certs/ca-certificates.crt"
        for name in ("chat", "inference", "monitor"):
            text = Path(f"docker/{name}.Dockerfile").read_text(encoding="utf-8")
            steps = text.replace("\\\n", " ").splitlines()
            asking = [step for step in steps if "pip install" in step or "npm ci" in step]
            asking += [
                step for step in steps if "bin/pip --python" in step or "pip download" in step
            ]
            assert asking
            assert all(mount in step for step in asking), name


class TestAuthoritiesInContainers:
    @pytest.mark.parametrize("container", ["chat-interface", "phi-inference", "monitor"])
    def test_containers_with_outside_requests_receive_a_file(
        self, run_program: StackRunner, certificates: Company, container: str
    ) -> None:
        graph = run_program({**STACK, "caFile": str(certificates.authority)})
        assert environment(graph, container)["EXTRA_CA_FILE"] == FILE_IN_CONTAINER
        carrier = graph.of("Container")[f"{container}-config-carrier"]
        files = {upload["file"]: upload["content"] for upload in carrier.inputs["uploads"]}
        assert files[FILE_IN_CONTAINER] == certificates.authority.read_text()

    def test_without_the_setting_nothing_changes(self, run_program: StackRunner) -> None:
        graph = run_program(STACK)
        everything = json.dumps([resource.inputs for resource in graph.resources])
        for word in ("EXTRA_CA_FILE", "company-ca", '"hub"', "ca_bundle", "PROXY"):
            assert word not in everything

    def test_only_certificates_are_read_from_the_file(
        self, run_program: StackRunner, certificates: Company, tmp_path: Path
    ) -> None:
        file = tmp_path / "ca.pem"
        file.write_text(f"subject=CN = Company CA\n{certificates.authority.read_text()}\nbye\n")
        graph = run_program({**STACK, "caFile": str(file)})
        uploads = graph.of("Container")["monitor-config-carrier"].inputs["uploads"]
        assert certificates.authority.read_text() in [upload["content"] for upload in uploads]

    def test_an_unsuitable_file_is_refused(
        self, run_program: StackRunner, certificates: Company, tmp_path: Path
    ) -> None:
        leaf = tmp_path / "leaf.pem"
        leaf.write_text(certificates.server.read_text().partition("-----BEGIN PRIVATE")[0])
        broken = tmp_path / "broken.pem"
        broken.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        empty = tmp_path / "empty.pem"
        empty.write_text("nothing")
        binary = tmp_path / "ca.der"
        binary.write_bytes(b"\x30\x82\xff\xfe")
        large = tmp_path / "large.pem"
        large.write_text(certificates.authority.read_text() * 2000)
        for file, expected in {
            tmp_path / "none.pem": "cannot be read: No such file or directory; found ",
            tmp_path: "cannot be read: Is a directory",
            certificates.server: "holds a private key, which must stay where it was made; found ",
            leaf: "holds certificates of servers only, not of an authority (CA:TRUE)",
            broken: "holds a certificate that cannot be read: ",
            empty: "does not hold a certificate (-----BEGIN CERTIFICATE-----)",
            binary: "is not text; found ",
            large: "bytes of certificates; found ",
        }.items():
            message = refusal(run_program, caFile=str(file))
            assert message.startswith("Pulumi.dev.yaml: llm-stack:caFile: "), file
            assert expected in message, file
            assert f"; found {str(file)!r}; allowed: " in message, file
