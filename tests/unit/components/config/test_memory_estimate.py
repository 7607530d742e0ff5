"""The memory estimate of a model: known headers, entries with numbers, entries without."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.config.field_types import GIBIBYTE, MEBIBYTE
from components.config.kv_cache import CacheSettings, cache_bytes
from components.config.memory_estimate import (
    Estimate,
    ModelNeeds,
    estimate,
    local_header,
    memory_problem,
    model_memory,
)
from components.config.model import Model
from components.config.model_numbers import ModelNumbers
from components.config.problems import Source
from tests.unit.components.config.gguf_files import HeaderValue, write_gguf


def of_architecture(name: str, **values: HeaderValue) -> dict[str, HeaderValue]:
    """A header; `__` in a key is a point."""
    keys = {f"{name}.{key.replace('__', '.')}": value for key, value in values.items()}
    return {"general.architecture": name, **keys}


SMOLLM2 = of_architecture(
    "llama",
    block_count=30,
    embedding_length=576,
    feed_forward_length=1536,
    attention__head_count=9,
    attention__head_count_kv=3,
)
PHI_3 = of_architecture(
    "phi3",
    block_count=32,
    embedding_length=3072,
    attention__head_count=32,
    attention__head_count_kv=32,
    # llama-server ignores it for this architecture.
    attention__sliding_window=2047,
)
QWEN_3 = of_architecture(
    "qwen3",
    block_count=28,
    embedding_length=1024,
    attention__head_count=16,
    attention__head_count_kv=8,
    # Not the width divided by the heads.
    attention__key_length=128,
    attention__value_length=128,
)
GPT_OSS = of_architecture(
    "gpt-oss",
    block_count=24,
    embedding_length=2880,
    attention__head_count=64,
    attention__head_count_kv=8,
    attention__key_length=64,
    attention__value_length=64,
    attention__sliding_window=128,
)
GEMMA_4_E4B = of_architecture(
    "gemma4",
    block_count=42,
    embedding_length=2560,
    attention__head_count=8,
    attention__head_count_kv=2,
    attention__key_length=512,
    attention__value_length=512,
    attention__key_length_swa=256,
    attention__value_length_swa=256,
    attention__sliding_window=512,
    attention__sliding_window_pattern=[layer % 6 != 5 for layer in range(42)],
    attention__shared_kv_layers=18,
)
QWEN_3_8_27B = of_architecture(
    "qwen35",
    block_count=65,
    nextn_predict_layers=1,
    embedding_length=5120,
    attention__head_count=24,
    attention__head_count_kv=4,
    attention__key_length=256,
    attention__value_length=256,
    full_attention_interval=4,
    ssm__conv_kernel=4,
    ssm__inner_size=6144,
    ssm__state_size=128,
    ssm__group_count=16,
)
GRANITE_HYBRID = of_architecture(
    "granitehybrid",
    block_count=4,
    embedding_length=1024,
    attention__head_count=8,
    attention__head_count_kv=[0, 0, 4, 0],
    ssm__conv_kernel=4,
    ssm__inner_size=2048,
    ssm__state_size=128,
    ssm__group_count=1,
)
DEEPSEEK_2 = of_architecture(
    "deepseek2",
    block_count=27,
    embedding_length=2048,
    attention__head_count=16,
    attention__head_count_kv=1,
    attention__key_length=576,
    attention__value_length=512,
    attention__key_length_mla=192,
    attention__value_length_mla=128,
)
BERT = of_architecture(
    "bert",
    block_count=24,
    embedding_length=1024,
    attention__head_count=16,
    attention__causal=False,
)

# Of 48 layers: three inputs of a convolution, and the state, in 32 bits.
STATE_OF_QWEN_3_8 = 48 * 4 * (3 * (6144 + 2 * 16 * 128) + 128 * 6144)


@pytest.mark.parametrize(
    ("header", "settings", "expected"),
    [
        # llama-server itself reports 22.5, 180 and 47.81 MiB for these three.
        (SMOLLM2, CacheSettings(1024, 1), 22.5 * MEBIBYTE),
        (SMOLLM2, CacheSettings(4096, 2), 180 * MEBIBYTE),
        (SMOLLM2, CacheSettings(4096, 1, "q8_0"), 47.8125 * MEBIBYTE),
        (SMOLLM2, CacheSettings(4096, 1, "f32"), 180 * MEBIBYTE),
        (SMOLLM2, CacheSettings(4096, 1, "q4_0"), 25.3125 * MEBIBYTE),
        # Rounded up to 256 tokens.
        (SMOLLM2, CacheSettings(1000, 1), 22.5 * MEBIBYTE),
        (PHI_3, CacheSettings(4096, 2), 3 * GIBIBYTE),
        (QWEN_3, CacheSettings(8192, 1), 896 * MEBIBYTE),
        # 12 layers keep all tokens, 12 a window of 128 and a batch of 512.
        (GPT_OSS, CacheSettings(16384, 1), 12 * 2048 * (16384 + 768)),
        (GPT_OSS, CacheSettings(16384, 1, whole_windows=True), 24 * 2048 * 16384),
        (GPT_OSS, CacheSettings(512, 1), 24 * 2048 * 512),
        # The last 18 layers use the cache of others; of the first 24 each sixth is global.
        (GEMMA_4_E4B, CacheSettings(8192, 2), 2 * (4 * 4096 * 8192 + 20 * 2048 * 1024)),
        (QWEN_3_8_27B, CacheSettings(8192, 1), 65_536 * 8192 + STATE_OF_QWEN_3_8),
        (QWEN_3_8_27B, CacheSettings(256, 3), 3 * (65_536 * 256 + STATE_OF_QWEN_3_8)),
        (
            GRANITE_HYBRID,
            CacheSettings(1024, 1),
            4 * 256 * 2 * 1024 + 3 * 4 * (3 * (2048 + 2 * 128) + 128 * 2048),
        ),
        (DEEPSEEK_2, CacheSettings(4096, 1), 27 * 576 * 2 * 4096),
        (BERT, CacheSettings(8192, 4), 0),
    ],
)
def test_the_kv_cache_of_a_header(
    header: dict[str, HeaderValue], settings: CacheSettings, expected: float, tmp_path: Path
) -> None:
    read = local_header(str(write_gguf(tmp_path / "model.gguf", header)))
    assert read is not None
    assert cache_bytes(read, settings) == expected


def test_the_header_decides_where_the_machine_has_the_file(tmp_path: Path) -> None:
    tokens = [f"token {number}" for number in range(1000)]
    file = write_gguf(tmp_path / "model.gguf", {**SMOLLM2, "tokenizer.ggml.tokens": tokens})
    needs = ModelNeeds(
        98_362_432,
        CacheSettings(4096, 2),
        numbers=ModelNumbers(kv_bytes_per_token=1),
        header=local_header(str(file)),
    )
    found = estimate(needs)
    assert found.weights == 98_362_432
    assert found.kv_cache == 180 * MEBIBYTE
    assert 60 * MEBIBYTE < found.overhead < 70 * MEBIBYTE
    assert found.total == found.weights + 180 * MEBIBYTE + found.overhead


def test_numbers_of_the_entry_count_where_there_is_no_file() -> None:
    numbers = ModelNumbers(kv_bytes_per_token=1000, kv_bytes_per_slot=50_000_000)
    needs = ModelNeeds(2_000_000_000, CacheSettings(8192, 2), numbers=numbers)
    assert estimate(needs).kv_cache == 2 * (8192 * 1000 + 50_000_000)
    numbers = ModelNumbers(kv_bytes_per_token=1000)
    quantised = ModelNeeds(2_000_000_000, CacheSettings(8192, 2, "q8_0"), numbers=numbers)
    assert estimate(quantised).kv_cache == 8192 * 2 * 1000 * 34 // 64


def test_without_any_number_weights_and_an_overhead_count() -> None:
    found = estimate(ModelNeeds(8 * GIBIBYTE, CacheSettings(131072, 4)))
    assert found.kv_cache is None
    assert found.total == 8 * GIBIBYTE + 256 * MEBIBYTE


def test_a_small_model_has_a_small_overhead() -> None:
    assert estimate(ModelNeeds(0, CacheSettings(512, 1))).total == 96 * MEBIBYTE


def headers(tmp_path: Path, **values: HeaderValue) -> ModelNeeds:
    tokens = [""] * 50_000
    file = write_gguf(tmp_path / "m.gguf", {**SMOLLM2, "tokenizer.ggml.tokens": tokens, **values})
    return ModelNeeds(0, CacheSettings(4096, 1), header=local_header(str(file)))


def test_buffers_grow_without_flash_attention(tmp_path: Path) -> None:
    needs = headers(tmp_path)
    slow = ModelNeeds(0, needs.cache, header=needs.header, flash_attention=False)
    assert estimate(slow).overhead - estimate(needs).overhead == 512 * 4 * 9 * 4096


def test_embeddings_need_an_output_for_each_token(tmp_path: Path) -> None:
    cache = CacheSettings(4096, 1, batch=4096)
    header = headers(tmp_path).header
    plain = estimate(ModelNeeds(0, cache, header=header)).overhead
    embedding = estimate(ModelNeeds(0, cache, header=header, every_output=True)).overhead
    assert embedding - plain == 2 * 4 * 50_000 * (4096 - 1)


def test_an_encoder_computes_no_output_and_has_a_copy_of_it_anyway(tmp_path: Path) -> None:
    cache = CacheSettings(1024, 1, batch=1024)
    header = headers(tmp_path, **{"llama.attention.causal": False}).header
    plain = estimate(ModelNeeds(0, cache, header=header)).overhead
    embedding = estimate(ModelNeeds(0, cache, header=header, every_output=True)).overhead
    assert embedding - plain == 4 * 50_000 * (1024 - 1)


def test_the_vocabulary_of_the_entry_counts_for_embeddings() -> None:
    numbers = ModelNumbers(vocabulary=150_000)
    cache = CacheSettings(1024, 1, batch=1024)
    found = estimate(ModelNeeds(0, cache, numbers=numbers, every_output=True))
    assert found.total == 96 * MEBIBYTE + 2 * 4 * 150_000 * 1024


def test_a_draft_model_adds_its_own_cache(tmp_path: Path) -> None:
    needs = headers(tmp_path)
    both = ModelNeeds(0, needs.cache, header=needs.header, draft_header=needs.header)
    assert estimate(both).kv_cache == 180 * MEBIBYTE
    assert estimate(both).overhead > estimate(needs).overhead


def test_a_gpu_has_the_weights_and_the_cache() -> None:
    found = estimate(
        ModelNeeds(
            18_000_000_000,
            CacheSettings(8192, 2),
            numbers=ModelNumbers(kv_bytes_per_token=1000),
            on_gpu=True,
        )
    )
    assert found.total == 256 * MEBIBYTE


@pytest.mark.parametrize("path", [None, "/no/such/file.gguf", "/"])
def test_there_is_no_header_without_a_file(path: str | None) -> None:
    assert local_header(path) is None


def test_a_file_that_is_no_model_has_no_header(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_text("version https://git-lfs.github.com/spec/v1")
    assert local_header(str(file)) is None


PHI = Estimate(2_393_231_072, 3 * GIBIBYTE, overhead=245_534_606, context=4096, slots=2)


def test_the_problem_lists_the_parts_and_the_memory_that_is_enough() -> None:
    problem = memory_problem(
        {"phi-3-mini": PHI},
        service="phi-inference",
        memory=2 * GIBIBYTE,
        source=Source("services.yaml"),
    )
    assert str(problem) == (
        "services.yaml: services.phi-inference.memory: cannot hold the model 'phi-3-mini', which "
        "needs weights 2283 MiB, KV cache of 2 slots of 4096 tokens 3072 MiB, buffers and "
        "llama-server 235 MiB; found '2048MiB'; allowed: at least 6210MiB"
    )


def test_the_suggested_memory_leaves_room_for_the_prompt_cache() -> None:
    enough = PHI.with_prompt_cache
    assert 0 <= enough - enough // 10 - PHI.total <= 1
    large = Estimate(60 * GIBIBYTE, 0, overhead=0, context=4096, slots=2)
    assert large.with_prompt_cache == 62 * GIBIBYTE


def test_there_is_no_problem_where_the_model_fits_exactly() -> None:
    def problem(memory: int) -> object:
        return memory_problem(
            {"phi": PHI}, service="phi", memory=memory, source=Source("services.yaml")
        )

    assert problem(PHI.total) is None
    assert problem(PHI.total - 1) is not None


def model(**keys: object) -> Model:
    """A model of a catalogue."""
    source = {
        "repository": "someone/model",
        "file": "model.gguf",
        "revision": "main",
        "sha256_origin": "unknown",
    }
    defaults = {"description": "A model", "context": 4096, "slots": 2}
    return Model.model_validate({**defaults, **({} if "path" in keys else source), **keys})


def test_every_file_of_a_model_counts() -> None:
    extra = {"file": "extra.gguf", "sha256_origin": "unknown"}
    found = model_memory(
        model(
            size=1000,
            projector={**extra, "size": 200},
            draft={**extra, "size": 30},
            adapters=[{**extra, "size": 4}, {**extra, "size": 5}],
        )
    )
    assert found.weights == 1239


def test_every_part_of_a_split_model_counts() -> None:
    parts = [{"file": f"m-0000{part}-of-00002.gguf", "size": 1000 + part} for part in (1, 2)]
    assert model_memory(model(file=None, files=parts)).weights == 2003


def test_a_model_on_this_machine_needs_no_numbers(tmp_path: Path) -> None:
    file = write_gguf(tmp_path / "model.gguf", SMOLLM2)
    found = model_memory(model(path=str(file)))
    assert found.weights == file.stat().st_size
    assert found.kv_cache == 180 * MEBIBYTE


def test_the_parts_of_a_model_on_this_machine_count(tmp_path: Path) -> None:
    first = write_gguf(tmp_path / "m-00001-of-00002.gguf", SMOLLM2)
    (tmp_path / "m-00002-of-00002.gguf").write_bytes(bytes(1000))
    found = model_memory(model(path=str(first)))
    assert found.weights == first.stat().st_size + 1000
    assert found.kv_cache == 180 * MEBIBYTE


def test_the_keys_of_a_model_decide(tmp_path: Path) -> None:
    file = write_gguf(tmp_path / "m.gguf", {**GPT_OSS, "tokenizer.ggml.tokens": [""] * 1000})
    path = {"path": str(file), "context": 8192}
    plain = model_memory(model(**path))
    assert plain.kv_cache is not None
    assert model_memory(model(**path, cache_type="f32")).kv_cache == plain.kv_cache * 2
    whole = model_memory(model(**path, options={"--swa-full": True}))
    assert whole.kv_cache == 2 * 24 * 2048 * 8192
    slow = model_memory(model(**path, flash_attention="off"))
    assert slow.overhead > plain.overhead
    embedding = model_memory(model(**path, task="embedding"))
    assert embedding.overhead > plain.overhead + 8192 * 1000 * 8
    assert model_memory(model(**path), on_gpu=True).total == plain.overhead
