"""How a model generates: OpenAI's fields, llama-server's of b11312, and vLLM's common ones.

Ranges are those of the servers, where these have any. Elsewhere they are wide enough for each use,
and small enough for the memory that a server reserves for the value: llama-server takes 8 bytes for
each token of `dry_penalty_last_n` at once.
"""

from __future__ import annotations

from typing import Any

from app.chat.schema.chat_parts import response_format
from app.chat.schema.checks import (
    Check,
    Problem,
    boolean,
    by_type,
    fields,
    free,
    integer,
    items,
    number,
    one_of,
    refused,
    text,
    token_ids,
)
from app.chat.schema.grammars import grammar
from app.chat.schema.json_schemas import json_schema, regular_expression

MOST_TOP_LOGPROBS = 20
MOST_CHOICES = 128
MOST_STOPS = 64
LONGEST_STOP = 512
MOST_BIASES = 1024
MOST_TOKENS = 2**31 - 1

# llama-server uses -1 for "no limit" or "the server's default" in many fields.
_tokens: Check = integer(-2, MOST_TOKENS)
_window: Check = integer(-1, 131_072)
_penalty: Check = number(-100, 100)
_share: Check = number(0, 1)
_factor: Check = number(-1000, 1000)
_seed: Check = integer(-(2**63), 2**64 - 1)
_name: Check = text(256)
_setting: Check = free(values=200, depth=8, characters=16 * 1024)
_internal: Check = refused("llama-server sets it itself, from the chat template")
_strings: Check = by_type(
    "a string or an array of strings",
    text=text(LONGEST_STOP),
    array=items(text(LONGEST_STOP), MOST_STOPS),
)


def _bias(value: Any, param: str) -> None:
    """An object of token and bias, or pairs of both."""
    by_type("an object", object=free(MOST_BIASES + 1, 1, 64 * 1024), array=_bias_pairs)(
        value, param
    )
    if type(value) is dict:
        for name, bias in value.items():
            if type(bias) is not bool:
                number(-1000, 1000)(bias, f"{param}.{name[:64]}")


_bias_pairs: Check = free(3 * MOST_BIASES + 1, 2, 64 * 1024)


def _logprobs(value: Any, param: str) -> None:
    """A boolean in chats, a number in plain completions."""
    if type(value) is not bool:
        integer(0, MOST_TOP_LOGPROBS)(value, param)


def _sequence_breakers(value: Any, param: str) -> None:
    # llama-server compares each with every token of the vocabulary.
    items(text(64), most=16)(value, param)


def _samplers(value: Any, param: str) -> None:
    by_type("an array or a string", array=items(text(64), 32), text=text(32))(value, param)


def _choices(value: Any, param: str) -> None:
    items(text(4096), most=256, least=1)(value, param)
    if not all(value):
        raise Problem(param, "must not have empty choices")


def _guided_json(value: Any, param: str) -> None:
    by_type("a JSON schema", object=json_schema, text=text(64 * 1024))(value, param)


OPENAI: dict[str, Check] = {
    "temperature": number(0, 100),
    "top_p": number(-1, 1),
    "n": integer(1, MOST_CHOICES),
    "best_of": integer(1, MOST_CHOICES),
    "max_tokens": _tokens,
    "stop": _strings,
    "presence_penalty": _penalty,
    "frequency_penalty": _penalty,
    "logit_bias": _bias,
    "logprobs": _logprobs,
    "top_logprobs": integer(0, MOST_TOP_LOGPROBS),
    "seed": _seed,
    "user": _name,
    "stream_options": fields(
        {"include_usage": boolean, "include_obfuscation": boolean}, others=_setting
    ),
    "store": boolean,
    "metadata": _setting,
    "service_tier": _name,
    "prompt_cache_key": _name,
    "prompt_cache_retention": _name,
    "safety_identifier": _name,
}
LLAMA_SERVER: dict[str, Check] = {
    "verbose": refused("it makes the answer many times as large"),
    "timings_per_token": boolean,
    "cache_prompt": boolean,
    "return_tokens": boolean,
    "return_progress": boolean,
    "sse_ping_interval": integer(-1, 86_400),
    "n_predict": _tokens,
    "n_indent": integer(0, 1024),
    "n_keep": integer(-1, MOST_TOKENS),
    "n_discard": integer(0, MOST_TOKENS),
    "n_cmpl": integer(1, MOST_CHOICES),
    "n_cache_reuse": integer(0, MOST_TOKENS),
    "t_max_predict_ms": integer(-1, 86_400_000),
    "t_max_prompt_ms": integer(-1, 86_400_000),
    "response_fields": items(text(256), 64),
    "id_slot": integer(-1, 1023),
    "top_k": integer(-1, MOST_TOKENS),
    "min_p": _share,
    "top_n_sigma": _factor,
    "xtc_probability": _share,
    "xtc_threshold": _share,
    "typical_p": _factor,
    "typ_p": _factor,
    "dynatemp_range": _factor,
    "dynatemp_exponent": _factor,
    "repeat_last_n": _window,
    "repeat_penalty": _penalty,
    "dry_multiplier": _factor,
    "dry_base": _factor,
    "dry_allowed_length": _window,
    "dry_penalty_last_n": _window,
    "dry_sequence_breakers": _sequence_breakers,
    "mirostat": integer(0, 2),
    "mirostat_tau": _factor,
    "mirostat_eta": _factor,
    "adaptive_target": _factor,
    "adaptive_decay": number(0, 0.99),
    "n_probs": integer(0, MOST_TOP_LOGPROBS),
    "min_keep": integer(0, 1024),
    "post_sampling_probs": boolean,
    "backend_sampling": boolean,
    "ignore_eos": boolean,
    "samplers": _samplers,
    "lora": items(fields({"id": integer(0, 1024), "scale": _factor}), most=64),
    "json_schema": json_schema,
    "grammar": grammar,
    "grammar_lazy": _internal,
    "grammar_triggers": _internal,
    "grammar_type": _internal,
    "preserved_tokens": _internal,
    "chat_format": _internal,
    "chat_parser": _internal,
    "generation_prompt": _internal,
    "parse_tool_calls": boolean,
    "reasoning_control": boolean,
    "reasoning_budget_tokens": _tokens,
    "thinking_budget_tokens": _tokens,
    "reasoning_budget_message": text(4096),
    "reasoning_budget_start_tag": text(LONGEST_STOP),
    "reasoning_budget_end_tag": text(LONGEST_STOP),
    "reasoning_budget_end_tags": items(text(LONGEST_STOP), 16),
}
VLLM: dict[str, Check] = {
    "use_beam_search": boolean,
    "repetition_penalty": _penalty,
    "length_penalty": _penalty,
    "stop_token_ids": token_ids(256),
    "include_stop_str_in_output": boolean,
    "min_tokens": _tokens,
    "skip_special_tokens": boolean,
    "spaces_between_special_tokens": boolean,
    "truncate_prompt_tokens": integer(-1, MOST_TOKENS),
    "prompt_logprobs": integer(0, MOST_TOP_LOGPROBS),
    "allowed_token_ids": token_ids(MOST_BIASES),
    "bad_words": items(text(LONGEST_STOP), MOST_STOPS),
    "add_special_tokens": boolean,
    "response_format": response_format,
    "guided_json": _guided_json,
    "guided_regex": regular_expression,
    "guided_choice": _choices,
    "guided_grammar": grammar,
    "guided_decoding_backend": _name,
    "guided_whitespace_pattern": regular_expression,
    "structured_outputs": fields(
        {
            "json": _guided_json,
            "regex": regular_expression,
            "choice": _choices,
            "grammar": grammar,
            "json_object": boolean,
            "structural_tag": text(64 * 1024),
        },
        others=_setting,
    ),
    "priority": integer(0, 0),
    "request_id": _name,
    "cache_salt": _name,
    "return_tokens_as_token_ids": boolean,
    "return_token_ids": boolean,
    "vllm_xargs": _setting,
    "logits_processors": refused("it runs a program on the server"),
    "kv_transfer_params": refused("it is for servers that share a cache"),
}
# Of Ollama, LM Studio, OpenRouter, KoboldCpp and others, and of the clients that send the fields of
# several servers at once.
OTHERS: dict[str, Check] = {
    "keep_alive": by_type("a text or a number", text=text(64), number=number(-1, 1e9)),
    "options": _setting,
    "format": by_type("a text or a JSON schema", text=text(64), object=json_schema),
    "ttl": integer(-1, 10**9),
    "draft_model": _name,
    "provider": _setting,
    "plugins": _setting,
    "transforms": _setting,
    "route": _name,
    "usage": _setting,
    "include": _setting,
    "extra_headers": _setting,
    "top_a": _factor,
    "tfs": _factor,
    "tfs_z": _factor,
    "typical": _factor,
    "rep_pen": _factor,
    "rep_pen_range": _window,
    "penalty_alpha": _factor,
    "smoothing_factor": _factor,
    "smoothing_curve": _factor,
    "epsilon_cutoff": _factor,
    "eta_cutoff": _factor,
    "mirostat_mode": integer(0, 2),
    "dry_range": _window,
    "sampler_order": _setting,
    "sampler_priority": _setting,
    "temperature_last": boolean,
    "min_temp": _factor,
    "max_temp": _factor,
    "add_bos_token": boolean,
    "ban_eos_token": boolean,
    "truncation_length": integer(0, MOST_TOKENS),
    "banned_tokens": _setting,
    "banned_strings": _setting,
    "custom_token_bans": _setting,
}
SAMPLING: dict[str, Check] = {**OTHERS, **VLLM, **LLAMA_SERVER, **OPENAI}

# Only in chats.
REASONING: dict[str, Check] = {
    "reasoning_effort": _name,
    "reasoning_format": one_of("none", "auto", "deepseek", "deepseek-legacy"),
    "reasoning": by_type("a text or an object", text=_name, object=_setting, boolean=boolean),
    "include_reasoning": boolean,
    "thinking": by_type("a boolean or an object", boolean=boolean, object=_setting),
    "thinking_token_budget": _tokens,
    "enable_thinking": boolean,
    "think": by_type("a boolean or a text", boolean=boolean, text=_name),
    "verbosity": _name,
}
