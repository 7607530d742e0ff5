"""`options:` of a model: what is refused, with the reason, and the arguments that become of it."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase

import pytest

from components.config.llama_help import DATA_FILE, parse
from components.config.llama_options import (
    KEYS,
    REFUSED,
    OptionProblem,
    arguments,
    problems,
)
from tests.unit.components.conftest import PROJECT_ROOT

DATA = json.loads(DATA_FILE.read_text())
NAMES = [name for option in DATA["options"] for name in option["names"]]
HELP = """\
----- common params -----

-t,    --threads N                      number of CPU threads to use during generation (default: -1)
                                        (env: LLAMA_ARG_THREADS)
--swa-full                              use full-size SWA cache (default: false)
-fa,   --flash-attn [on|off|auto]       set Flash Attention use ('on', 'off', or 'auto', default: 'auto')
-ctk,  --cache-type-k TYPE              KV cache data type for K
                                        allowed values: f32, q8_0
                                        (default: f32)
-lm,   --load-mode MODE                 model loading mode (default: auto)
                                        - none: no special loading mode
                                        - mmap+mlock: mmap + force system to keep model in RAM
-ngl,  --gpu-layers, --n-gpu-layers N   max. number of layers to store in VRAM, either an exact number,
                                        'auto', or 'all' (default: auto)
-ot,   --override-tensor <tensor name pattern>=<buffer type>,...
                                        override tensor buffer type
--spec-type none,draft-mtp,ngram-mod    comma-separated list of types of speculative decoding to use
--warmup, --no-warmup                   whether to perform warmup with an empty run (default: enabled)
--draft, --draft-n N                    the argument has been removed. use --spec-draft-n-max or
                                        --spec-ngram-mod-n-max
                                        (env: LLAMA_ARG_DRAFT_MAX)
"""


def test_help_becomes_one_entry_for_each_option() -> None:
    assert parse(HELP) == [
        {"names": ["-t", "--threads"], "value": "N", "number": True},
        {"names": ["--swa-full"]},
        {
            "names": ["-fa", "--flash-attn"],
            "value": "[on|off|auto]",
            "allowed": ["on", "off", "auto"],
        },
        {"names": ["-ctk", "--cache-type-k"], "value": "TYPE", "allowed": ["f32", "q8_0"]},
        {
            "names": ["-lm", "--load-mode"],
            "value": "MODE",
            "allowed": ["auto", "none", "mmap+mlock"],
        },
        {"names": ["-ngl", "--gpu-layers", "--n-gpu-layers"], "value": "N"},
        {
            "names": ["-ot", "--override-tensor"],
            "value": "<tensor name pattern>=<buffer type>,...",
        },
        {
            "names": ["--spec-type"],
            "value": "none,draft-mtp,ngram-mod",
            "allowed": ["none", "draft-mtp", "ngram-mod"],
            "several": True,
        },
        {"names": ["--warmup", "--no-warmup"]},
        {
            "names": ["--draft", "--draft-n"],
            "value": "N",
            "number": True,
            "removed": "use --spec-draft-n-max or --spec-ngram-mod-n-max",
        },
    ]


def test_the_list_is_of_the_build_in_the_image() -> None:
    dockerfile = (PROJECT_ROOT / "docker/inference.Dockerfile").read_text()
    assert re.findall(r"^ARG LLAMA_BUILD=(\d+)$", dockerfile, re.MULTILINE) == [str(DATA["build"])]


@pytest.mark.parametrize("table", [KEYS, REFUSED])
def test_each_refused_option_exists(table: dict[str, tuple[str, ...]]) -> None:
    patterns = [pattern for names in table.values() for pattern in names]
    assert [
        pattern for pattern in patterns if not any(fnmatchcase(name, pattern) for name in NAMES)
    ] == []


def test_valid_options_become_arguments_in_their_order() -> None:
    options = {
        "--n-cpu-moe": 12,
        "--load-mode": "none",
        "--fit": False,  # YAML's `off`
        "--swa-full": True,
        "--temp": 0.7,
        "--no-warmup": True,
        "--spec-type": "ngram-mod,draft-mtp",
        "--override-tensor": "exps=CPU",
        "-ub": -1,
    }
    assert problems(options) == []
    assert arguments(options) == [
        *("--n-cpu-moe", "12", "--load-mode", "none", "--fit", "off", "--swa-full"),
        *("--temp", "0.7", "--no-warmup", "--spec-type", "ngram-mod,draft-mtp"),
        *("--override-tensor", "exps=CPU", "-ub", "-1"),
    ]


@pytest.mark.parametrize(
    ("option", "nearest"),
    [
        ("--n-cpu-mo", "--n-cpu-moe"),
        ("--no-mmap", "--load-mode: none"),
        ("--frobnicate-everything", "what llama-server --help lists"),
    ],
)
def test_an_unknown_option_is_refused_with_the_nearest(option: str, nearest: str) -> None:
    [problem] = problems({option: 1})
    assert problem.text == "is not an option of the pinned llama-server"
    assert problem.allowed is not None
    assert nearest in problem.allowed


@pytest.mark.parametrize(
    ("options", "text", "allowed"),
    [
        ({"--n-cpu-moe": "many"}, "is not a number", "a number"),
        ({"--n-cpu-moe": True}, "needs a value", "a number"),
        ({"--n-cpu-moe": None}, "needs a value", "a number"),
        ({"--override-tensor": ["a", "b"]}, "needs a value", "<tensor name pattern>=<buffer type>"),
        ({"--override-tensor": ""}, "needs a value", "<tensor name pattern>=<buffer type>"),
        ({"--numa": "everywhere"}, "is not a valid value", "distribute, isolate, numactl"),
        ({"--numa": True}, "needs a value", "distribute, isolate, numactl"),
        ({"--spec-type": "ngram-mod,magic"}, "is not a valid value", "several with commas"),
        ({"--swa-full": 1}, "takes no value", "true, or leave it out"),
        ({"--warmup": False}, "takes no value", "true, or --no-warmup: true, or leave it out"),
        ({"--no-warmup": False}, "takes no value", "true, or --warmup: true, or leave it out"),
        ({"--draft-max": 8}, "was removed from llama-server", "--spec-draft-n-max"),
        ({"-ncmoe": 1, "--n-cpu-moe": 1}, "is the same option as -ncmoe", "one of them"),
    ],
)
def test_a_wrong_value_is_refused_with_what_is_allowed(
    options: dict[str, object], text: str, allowed: str
) -> None:
    [problem] = problems(options)
    assert problem.text == text
    assert problem.allowed is not None
    assert allowed in problem.allowed


@pytest.mark.parametrize(
    ("option", "key"),
    [
        ("--ctx-size", "context"),
        ("-np", "slots"),
        ("--threads", "threads"),
        ("--embeddings", "task"),
        ("--rerank", "task"),
        ("--pooling", "pooling"),
        ("--mmproj", "projector"),
        ("--lora-scaled", "adapters"),
        ("--model-draft", "draft"),
        ("--chat-template-file", "chat_template"),
        ("--reasoning-budget", "reasoning"),
        ("--cache-type-v", "cache_type"),
        ("-fa", "flash_attention"),
        ("--sleep-idle-seconds", "idle_sleep"),
        ("-ngl", "gpu_layers of the service"),
        ("--port", "port of the service"),
    ],
)
def test_an_option_with_a_key_is_refused_with_the_key(option: str, key: str) -> None:
    assert problems({option: 1}) == [OptionProblem(option, "has a key of its own", key)]


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("--host", "the service's own name"),
        ("--api-key", "the gateway checks keys"),
        ("--api-key-file", "the gateway checks keys"),
        ("--ssl-key-file", "without TLS"),
        ("--path", "browsers use the gateway"),
        ("--cors-origins", "browsers use the gateway"),
        ("--media-path", "clients could read files"),
        ("--slot-save-path", "conversations to files"),
        ("--log-prompts-dir", "conversations to files"),
        ("-v", "conversations to the log"),
        ("--props", "change the server's settings"),
        ("--tools", "run programs"),
        ("--tools-runtime", "run programs"),
        ("--mcp-servers-json", "run programs"),
        ("-ag", "run programs"),
        ("--webui-mcp-proxy", "run programs"),
        ("--rpc", "without encryption"),
        ("-hf", "must not download"),
        ("--hf-token", "llm-stack:hfToken"),
        ("-mu", "must not download"),
        ("--docker-repo", "must not download"),
        ("-hfd", "must not download"),
        ("--gpt-oss-20b-default", "must not download"),
        ("--model", "the model's entry"),
        ("--log-file", "the log goes to Docker"),
        ("--models-dir", "one model"),
        ("--no-slots", "need it"),
        ("--grammar-file", "no key puts a file"),
        ("--version", "exits"),
    ],
)
def test_a_dangerous_option_is_refused_with_the_reason(option: str, reason: str) -> None:
    [problem] = problems({option: "x"})
    assert problem.text.startswith("is refused: ")
    assert re.search(reason, problem.text)


def test_all_problems_are_found_at_once() -> None:
    found = problems({"--rpc": "host:1", "--top-k": 40, "--ctx-size": 1, "--numa": "x"})
    assert [problem.option for problem in found] == ["--rpc", "--ctx-size", "--numa"]
