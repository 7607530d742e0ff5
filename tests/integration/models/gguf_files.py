"""GGUF files that fit SmolLM2: an adapter, a projector, and the model itself in several parts.

They have the right shapes only: a projector sees nothing in an image, for example.
"""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt

# Of SmolLM2-135M.
WIDTH = 576
ATTENTION_WIDTH = 576
ARCHITECTURE = "llama"
# Of the projector.
IMAGE, PATCH, VISION_WIDTH, VISION_FEED_FORWARD, MERGED = 32, 16, 32, 64, 2

Tensor = npt.NDArray[np.float32]


def write_adapter(path: Path, strength: float) -> None:
    """A LoRA adapter of rank 4 that changes the attention of the first block."""
    writer = gguf.GGUFWriter(path, ARCHITECTURE)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, 4.0)
    numbers = np.random.RandomState(1)
    name = "blk.0.attn_q.weight"
    writer.add_tensor(f"{name}.lora_a", _random(numbers, 4, WIDTH) * strength)
    writer.add_tensor(f"{name}.lora_b", _random(numbers, ATTENTION_WIDTH, 4) * strength)
    _write(writer)


def write_projector(path: Path) -> None:
    """A vision encoder with one block, and a projector to the width of the model."""
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_type("mmproj")
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_string("clip.projector_type", "idefics3")
    writer.add_bool("clip.use_gelu", True)
    for key, value in {
        "image_size": IMAGE,
        "patch_size": PATCH,
        "embedding_length": VISION_WIDTH,
        "feed_forward_length": VISION_FEED_FORWARD,
        "projection_dim": WIDTH,
        "block_count": 1,
        "attention.head_count": 2,
        "projector.scale_factor": MERGED,
        "preproc_image_size": IMAGE,
    }.items():
        writer.add_uint32(f"clip.vision.{key}", value)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
    writer.add_array("clip.vision.image_mean", [0.5, 0.5, 0.5])
    writer.add_array("clip.vision.image_std", [0.5, 0.5, 0.5])
    for name, tensor in _vision_tensors().items():
        writer.add_tensor(name, tensor)
    _write(writer)


def _vision_tensors() -> dict[str, Tensor]:
    numbers = np.random.RandomState(2)
    wide = VISION_WIDTH
    patches = (IMAGE // PATCH) ** 2
    tensors = {
        "v.patch_embd.weight": _random(numbers, wide, 3, PATCH, PATCH),
        "v.patch_embd.bias": _zeros(wide),
        "v.position_embd.weight": _random(numbers, patches, wide),
        "v.post_ln.weight": _ones(wide),
        "v.post_ln.bias": _zeros(wide),
        "mm.model.fc.weight": _random(numbers, WIDTH, wide * MERGED**2),
        "v.blk.0.ffn_up.weight": _random(numbers, VISION_FEED_FORWARD, wide),
        "v.blk.0.ffn_up.bias": _zeros(VISION_FEED_FORWARD),
        "v.blk.0.ffn_down.weight": _random(numbers, wide, VISION_FEED_FORWARD),
        "v.blk.0.ffn_down.bias": _zeros(wide),
    }
    for part in ("attn_q", "attn_k", "attn_v", "attn_out"):
        tensors[f"v.blk.0.{part}.weight"] = _random(numbers, wide, wide)
        tensors[f"v.blk.0.{part}.bias"] = _zeros(wide)
    for norm in ("ln1", "ln2"):
        tensors[f"v.blk.0.{norm}.weight"] = _ones(wide)
        tensors[f"v.blk.0.{norm}.bias"] = _zeros(wide)
    return tensors


def split(model: Path, folder: Path, tensors_in_part: int) -> list[Path]:
    """Write a model in several parts, as llama.cpp's own splitter does; returns their paths."""
    reader = gguf.GGUFReader(model)
    first = folder / model.name
    writer = gguf.GGUFWriter(first, ARCHITECTURE, split_max_tensors=tensors_in_part)
    for field in reader.fields.values():
        # The writer adds these itself.
        if field.name.startswith("GGUF.") or field.name == gguf.Keys.General.ARCHITECTURE:
            continue
        kind = field.types[0]
        inner = field.types[-1] if kind is gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), kind, sub_type=inner)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    _write(writer)
    return sorted(folder.glob(f"{model.stem}-*.gguf"))


def _write(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _random(numbers: np.random.RandomState, *shape: int) -> Tensor:
    return numbers.normal(0, 0.05, shape).astype(np.float32)


def _zeros(length: int) -> Tensor:
    return np.zeros(length, dtype=np.float32)


def _ones(length: int) -> Tensor:
    return np.ones(length, dtype=np.float32)
