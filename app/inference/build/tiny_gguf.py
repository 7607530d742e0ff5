"""Writes the placeholder model `tiny`: a small GGUF file that generates random text.

Tests and machines without a model hub use it, so that loading, chat template, streaming, slots and
metrics work as with a real model. It has the llama architecture and two blocks. The next word
depends almost only on the previous one: the first dimensions of the embedding encode the kind of
word of a token, and the output layer the kinds that may follow. The blocks add a little noise, so
that attention and feed-forward layers have an effect.

Every number comes from a fixed seed and is exact in half precision, so every machine writes the
same bytes.

    python -m app.inference.build.tiny_gguf tiny.gguf
"""

import math
import sys
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float16]

SEED = 2024
WIDTH = 64
BLOCKS = 2
HEADS = 4
FEED_FORWARD = 128
CONTEXT_TOKENS = 131_072
NORM_EPSILON = 1e-5

IMPOSSIBLE = -30.0
"""The logit of a word that cannot follow."""

# The kinds of words. ELSE is every token of the prompt that is not a word of the model.
WORDS = {
    "FIRST": ["The", "Every", "One", "This", "Another", "Some"],
    "OPENING": ["▁The", "▁Every", "▁One", "▁This", "▁Another", "▁No"],
    "SUBJECT": [
        *("▁river", "▁baker", "▁lantern", "▁captain", "▁winter", "▁violin", "▁gardener", "▁moon"),
        *(
            "▁traveller",
            "▁clock",
            "▁fox",
            "▁letter",
            "▁harbour",
            "▁painter",
            "▁storm",
            "▁neighbour",
        ),
    ],
    "VERB": [
        *("▁follows", "▁remembers", "▁carries", "▁answers", "▁paints", "▁borrows", "▁counts"),
        *("▁forgets", "▁mends", "▁invites", "▁measures", "▁hides", "▁praises", "▁wakes"),
    ],
    "ARTICLE": ["▁the", "▁a", "▁every", "▁one", "▁some", "▁that"],
    "ADJECTIVE": [
        *("▁quiet", "▁golden", "▁patient", "▁broken", "▁distant", "▁curious", "▁gentle", "▁hollow"),
        *("▁sleepy", "▁wooden", "▁proud", "▁salty", "▁brave", "▁paper", "▁bright", "▁round"),
    ],
    "OBJECT": [
        *("▁bridge", "▁kettle", "▁song", "▁ladder", "▁window", "▁promise", "▁pocket", "▁teapot"),
        *("▁mirror", "▁feather", "▁map", "▁candle", "▁button", "▁basket", "▁whistle", "▁secret"),
    ],
    "PREPOSITION": ["▁behind", "▁without", "▁under", "▁beside", "▁before", "▁across"],
    "STOP": ["."],
    "END": ["</s>"],
    "ELSE": [],
}

# The probability of each kind after another one.
FOLLOWERS = {
    "ELSE": {"FIRST": 1.0},
    "FIRST": {"SUBJECT": 1.0},
    "OPENING": {"SUBJECT": 1.0},
    "SUBJECT": {"VERB": 1.0},
    "VERB": {"ARTICLE": 1.0},
    "ARTICLE": {"ADJECTIVE": 0.5, "OBJECT": 0.5},
    "ADJECTIVE": {"OBJECT": 1.0},
    "OBJECT": {"PREPOSITION": 0.3, "STOP": 0.7},
    "PREPOSITION": {"ARTICLE": 1.0},
    "STOP": {"OPENING": 0.8, "END": 0.2},
    "END": {"FIRST": 1.0},
}
KINDS = list(WORDS)

CONTROL = ["<|system|>", "<|user|>", "<|assistant|>", "<|end|>"]
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


@dataclass(frozen=True)
class Token:
    """One entry of the vocabulary; `kind` is one of KINDS."""

    text: str
    type: gguf.TokenType
    kind: str = "ELSE"


def vocabulary() -> list[Token]:
    """The tokens in the order of their ids; the first three ids are fixed by convention.

    Single characters and raw bytes encode any prompt; the model never generates them.
    """
    special = [
        Token("<unk>", gguf.TokenType.UNKNOWN),
        Token("<s>", gguf.TokenType.CONTROL),
        Token("</s>", gguf.TokenType.CONTROL, "END"),
    ]
    control = [Token(text, gguf.TokenType.CONTROL) for text in CONTROL]
    raw_bytes = [Token(f"<0x{value:02X}>", gguf.TokenType.BYTE) for value in range(256)]
    words = [
        Token(word, gguf.TokenType.NORMAL, kind)
        for kind, members in WORDS.items()
        if kind != "END"
        for word in members
    ]
    taken = {token.text for token in words}
    characters = [
        Token(character, gguf.TokenType.NORMAL)
        for character in ("▁", *map(chr, range(ord("!"), ord("~") + 1)))
        if character not in taken
    ]
    return [*special, *control, *raw_bytes, *words, *characters]


def write_tiny_gguf(file: Path) -> None:
    """Write the model; its directory must exist."""
    tokens = vocabulary()
    writer = gguf.GGUFWriter(file, "llama")
    _describe(writer)
    _add_tokenizer(writer, tokens)
    _add_tensors(writer, tokens)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _describe(writer: gguf.GGUFWriter) -> None:
    writer.add_name("tiny")
    writer.add_description("Generates random text, for tests")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_context_length(CONTEXT_TOKENS)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(BLOCKS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(NORM_EPSILON)


def _add_tokenizer(writer: gguf.GGUFWriter, tokens: list[Token]) -> None:
    writer.add_tokenizer_model("llama")
    writer.add_token_list([token.text for token in tokens])
    # A longer piece scores higher, so that it is preferred to its parts.
    writer.add_token_scores([float(len(token.text)) for token in tokens])
    writer.add_token_types([token.type for token in tokens])
    writer.add_vocab_size(len(tokens))
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(CHAT_TEMPLATE)


def _add_tensors(writer: gguf.GGUFWriter, tokens: list[Token]) -> None:
    # NumPy guarantees that the sequence of this legacy generator never changes.
    random = np.random.RandomState(SEED)
    ones = np.ones(WIDTH, dtype=np.float32)
    writer.add_tensor("token_embd.weight", _embeddings(tokens))
    for block in range(BLOCKS):
        name = f"blk.{block}."
        writer.add_tensor(f"{name}attn_norm.weight", ones)
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            writer.add_tensor(f"{name}{part}.weight", _noise(random, WIDTH, WIDTH))
        writer.add_tensor(f"{name}ffn_norm.weight", ones)
        writer.add_tensor(f"{name}ffn_gate.weight", _noise(random, FEED_FORWARD, WIDTH))
        writer.add_tensor(f"{name}ffn_up.weight", _noise(random, FEED_FORWARD, WIDTH))
        writer.add_tensor(f"{name}ffn_down.weight", _noise(random, WIDTH, FEED_FORWARD))
    writer.add_tensor("output_norm.weight", ones)
    writer.add_tensor("output.weight", _output(tokens, random))


def _embeddings(tokens: list[Token]) -> Matrix:
    """A one in the dimension of the token's kind."""
    matrix = np.zeros((len(tokens), WIDTH), dtype=np.float16)
    for index, token in enumerate(tokens):
        matrix[index, KINDS.index(token.kind)] = 1
    return matrix


def _output(tokens: list[Token], random: np.random.RandomState) -> Matrix:
    """For each token and each kind before it, the logit of the token after that kind."""
    # The value of a single 1 among WIDTH numbers after normalisation.
    scale = math.sqrt(WIDTH)
    matrix = np.asarray(_noise(random, len(tokens), WIDTH))
    for index, token in enumerate(tokens):
        for before, kind in enumerate(KINDS):
            share = FOLLOWERS[kind].get(token.kind, 0.0)
            members = len(WORDS[token.kind])
            logit = math.log(share / members) if share and members else IMPOSSIBLE
            # Eighths are exact in half precision, and hide how a machine rounds logarithms.
            matrix[index, before] += round(logit * 8) / 8 / scale
    return matrix


def _noise(random: np.random.RandomState, rows: int, columns: int) -> Matrix:
    """Small multiples of 1/512, between -1/64 and 1/64."""
    return (random.randint(-8, 9, (rows, columns)) / 512).astype(np.float16)


if __name__ == "__main__":
    write_tiny_gguf(Path(sys.argv[1]))
