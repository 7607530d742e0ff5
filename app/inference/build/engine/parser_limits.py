"""Limits the parsers of llama.cpp, by editing its source.

    python3 parser_limits.py /src/llama

llama-server parses grammars and JSON of clients with recursive functions: deep nesting overflows
the stack and ends the process (ggml-org/llama.cpp#26600). Other grammars cost all memory, or the
time of every client. With these limits they are refused, as an invalid grammar or body.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

# Deeper than what a person writes, or what llama-server makes of a JSON schema that it accepts.
MOST_NESTED_GROUPS = 200
MOST_NESTED_RULES = 2000
MOST_NESTED_JSON = 256
# An element has 8 bytes.
MOST_REPEATED_ELEMENTS = 1_000_000
# The ways in which a grammar can continue: each is compared with every token of the vocabulary.
MOST_STACKS = 4096
MOST_STACK_ELEMENTS = 4_000_000

GRAMMAR = "src/llama-grammar.cpp"
JSON = "common/json.cpp"


@dataclass(frozen=True)
class Edit:
    """Inserts text after a line that the file contains exactly once."""

    file: str
    after: str
    text: str


EDITS = (
    Edit(
        GRAMMAR,
        "#define MAX_REPETITION_THRESHOLD 2000\n",
        f"""\
#define MOST_NESTED_GROUPS {MOST_NESTED_GROUPS}
#define MOST_NESTED_RULES {MOST_NESTED_RULES}
#define MOST_REPEATED_ELEMENTS {MOST_REPEATED_ELEMENTS}
#define MOST_STACKS {MOST_STACKS}
#define MOST_STACK_ELEMENTS {MOST_STACK_ELEMENTS}

// counts how deeply a recursive function is nested on this thread
struct grammar_nesting {{
    int & depth;
    explicit grammar_nesting(int & depth) : depth(++depth) {{}}
    ~grammar_nesting() {{ --depth; }}
}};
static thread_local int    nested_groups     = 0;
static thread_local int    nested_rules      = 0;
static thread_local size_t repeated_elements = 0;
static thread_local bool   has_lost_stacks   = false;

""",
    ),
    Edit(
        GRAMMAR,
        """\
        uint32_t            rule_id,
        bool                is_nested) {
""",
        """\
    grammar_nesting level(nested_groups);
    if (nested_groups > MOST_NESTED_GROUPS) {
        throw std::runtime_error("groups are nested too deeply");
    }
""",
    ),
    Edit(
        GRAMMAR,
        "        llama_grammar_rule prev_rule(rule.begin() + last_sym_start, rule.end());\n",
        """\
        {
            const uint64_t limit = MAX_REPETITION_THRESHOLD;
            uint64_t times = std::max<uint64_t>(1, std::min(min_times, limit));
            if (!no_max) {
                times = std::max(times, std::min(max_times, limit));
            }
            repeated_elements += prev_rule.size() * times;
            if (repeated_elements > MOST_REPEATED_ELEMENTS) {
                throw std::runtime_error("repetitions make the grammar too large");
            }
        }
""",
    ),
    Edit(
        GRAMMAR,
        """\
bool llama_grammar_parser::parse(const char * src) {
""",
        """\
    repeated_elements = 0;
    has_lost_stacks   = false;
""",
    ),
    Edit(
        GRAMMAR,
        """\
        const llama_grammar_stack & curr_stack = *curr_stack_it;

""",
        """\
        seen_elements += curr_stack.size() + 1;
        if (seen_elements > MOST_STACK_ELEMENTS || new_stacks.size() >= MOST_STACKS) {
            // not an exception: while tokens are generated, it would end the requests of all slots
            has_lost_stacks = true;
            break;
        }
""",
    ),
    Edit(
        GRAMMAR,
        "    std::vector<llama_grammar_stack> todo;\n",
        "    size_t seen_elements = 0;\n",
    ),
    Edit(
        GRAMMAR,
        "    std::vector<llama_token>    vec_trigger_tokens;\n",
        """\
    if (has_lost_stacks) {
        LLAMA_LOG_ERROR("unsupported grammar, it can start in too many ways\\n");
        return nullptr;
    }
""",
    ),
    Edit(
        GRAMMAR,
        """\
        std::vector<bool> * rules_may_be_empty) {
""",
        """\
    // without this, the number of calls doubles with each rule that refers to another one twice
    if ((*rules_visited)[rule_index]) {
        return false;
    }
    grammar_nesting level(nested_rules);
    if (nested_rules > MOST_NESTED_RULES) {
        LLAMA_LOG_ERROR("unsupported grammar, rules are nested too deeply\\n");
        return true;
    }
""",
    ),
    Edit(
        JSON,
        "common_json common_json::parse(const std::string & text) {\n    try {\n",
        "        check_nesting(text);\n",
    ),
    Edit(
        JSON,
        "using nlohmann::ordered_json;\n",
        f"""\

// values are copied, written and freed recursively
static void check_nesting(const std::string & text) {{
    int  depth     = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.size(); i++) {{
        const char c = text[i];
        if (in_string) {{
            if (c == '\\\\') {{
                i++;
            }} else if (c == '"') {{
                in_string = false;
            }}
        }} else if (c == '"') {{
            in_string = true;
        }} else if (c == '[' || c == '{{') {{
            if (++depth > {MOST_NESTED_JSON}) {{
                throw std::runtime_error("parse error: more than {MOST_NESTED_JSON} levels");
            }}
        }} else if (c == ']' || c == '}}') {{
            depth--;
        }}
    }}
}}
""",
    ),
)


def edited(source: str, edit: Edit) -> str:
    """The text of a file with one edit; raises ValueError if its place is not found once."""
    if source.count(edit.after) != 1:
        raise ValueError(f"{edit.file} does not contain this text exactly once:\n{edit.after}")
    return source.replace(edit.after, edit.after + edit.text)


def main(folder: Path) -> None:
    """Edit the files; exits with 1 if one differs, for example after upstream changed it."""
    for edit in EDITS:
        path = folder / edit.file
        try:
            text = edited(path.read_text(encoding="utf-8"), edit)
        except (OSError, ValueError) as error:
            sys.exit(f"error: {error}\nAdapt EDITS in {__file__}")
        path.write_text(text, encoding="utf-8")
    print(f"limited parsers: {', '.join(sorted({edit.file for edit in EDITS}))}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
