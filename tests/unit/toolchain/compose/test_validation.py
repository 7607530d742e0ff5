"""The check of entries with the catalogue's own loader, in its own process."""

from __future__ import annotations

from pathlib import Path

from toolchain.compose.validation import problems_of

ROOT = Path(__file__).resolve().parents[4]
TEXT = """
services:
  good:
    kind: container
    image: a:1
    volumes: ["./catalog/shop/file.yml:/file.yml"]
    environment: {URL: "${config:WHERE}"}
  built: {kind: container, build: own}
  bad: {kind: container, image: a:1, ports: ["x"], privileged: true}
"""


def test_problems_by_service() -> None:
    services = {
        "good": {"volumes": ["./catalog/shop/file.yml:/file.yml"]},
        "built": {"build": "own"},
        "bad": {},
    }
    found = problems_of(ROOT, ROOT / "catalog" / "shop.yaml", TEXT, [], services, ["WHERE"])
    assert set(found) == {"bad"}
    assert len(found["bad"]) == 2
    assert found["bad"][0].startswith("catalog/shop.yaml:9: services.bad.")
    assert not (ROOT / "catalog" / "shop.yaml").exists()
    broken = problems_of(ROOT, ROOT / "catalog" / "shop.yaml", "services: [", [], services, [])
    assert "is not YAML" in broken[""][0]
