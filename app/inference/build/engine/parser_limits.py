"""Limits the parsers of llama.cpp, by editing its source.

    python3 parser_limits.py /src/llama

llama-server parses grammars, JSON and JSON schemas of clients with recursive functions: deep
nesting overflows the stack and ends the process (ggml-org/llama.cpp#26600), and so do references
of a schema that form a long chain or a circle. Other grammars cost all memory, or the time of
every client. With these limits they are refused, as an invalid grammar, schema or body.
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
# References count too: a schema of JSON has at most half as many levels as MOST_NESTED_JSON.
MOST_NESTED_SCHEMAS = 1000
# Of schemas, to find the types of one: definitions that refer to each other double the number.
MOST_SCHEMA_STEPS = 100_000
# The time grows with the third power: 500 cost a second.
MOST_OPTIONAL_PROPERTIES = 500
# Of a property or reference. std::regex is recursive for each character of some names.
LONGEST_SCHEMA_NAME = 4096
# It has the names of all levels.
LONGEST_RULE_NAME = 16_384

GRAMMAR = "src/llama-grammar.cpp"
JSON = "common/json.cpp"
SCHEMA = "common/json-schema.cpp"
SCHEMA_GRAMMAR = "common/json-schema-to-grammar.cpp"

# llama-server answers 400 to an invalid_argument, and 500 to other exceptions.
_SCHEMA_NESTING = f"""
// both files may be compiled as one
#ifndef SCHEMA_NESTING
#define SCHEMA_NESTING
// counts how deeply recursive functions are nested on this thread
static thread_local int nested_schemas = 0;
namespace {{
struct schema_nesting {{
    schema_nesting() {{
        if (nested_schemas >= {MOST_NESTED_SCHEMAS}) {{
            throw std::invalid_argument("the JSON schema is nested too deeply or refers to itself");
        }}
        ++nested_schemas;
    }}
    ~schema_nesting() {{ --nested_schemas; }}
}};
}}
#endif
"""
_SCHEMA_STEP = """\
    schema_nesting level;
    count_schema_step();
"""


def _name_limit(variable: str, longest: int) -> str:
    return f"""\
        if ({variable}.size() > {longest}) {{
            throw std::invalid_argument("the JSON schema has a name that is too long");
        }}
"""


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
    Edit(
        SCHEMA,
        "#include <utility>\n#include <vector>\n",
        f"""{_SCHEMA_NESTING}\
static thread_local size_t schema_steps = 0;

static void count_schema_step() {{
    if (++schema_steps > {MOST_SCHEMA_STEPS}) {{
        throw std::invalid_argument("the JSON schema has too many references");
    }}
}}
""",
    ),
    Edit(
        SCHEMA,
        "    common_chat_schema_ptr build_node("
        "const common_json & schema, const std::string & path) {\n",
        "        schema_nesting level;\n",
    ),
    Edit(
        SCHEMA,
        "        std::string ref = value.get<std::string>();\n",
        _name_limit("ref", LONGEST_SCHEMA_NAME),
    ),
    Edit(
        SCHEMA,
        "            for (const auto & [name, prop] : properties.items()) {\n",
        _name_limit("name", LONGEST_SCHEMA_NAME),
    ),
    Edit(
        SCHEMA,
        "static common_chat_schema::type_set value_types_impl(const common_chat_schema & s, "
        "std::unordered_set<const common_chat_schema *> & visited) {\n",
        _SCHEMA_STEP,
    ),
    Edit(
        SCHEMA,
        "static bool may_be_string_impl(const common_chat_schema & s, "
        "std::unordered_set<const common_chat_schema *> & visited) {\n",
        _SCHEMA_STEP,
    ),
    Edit(
        SCHEMA,
        "common_chat_schema::type_set common_chat_schema::value_types() const {\n",
        "    schema_steps = 0;\n",
    ),
    Edit(
        SCHEMA,
        "bool common_chat_schema::may_be_string() const {\n",
        "    schema_steps = 0;\n",
    ),
    Edit(
        SCHEMA_GRAMMAR,
        "static const int MAX_PATTERN_DEPTH = 100;\n",
        _SCHEMA_NESTING,
    ),
    Edit(
        SCHEMA_GRAMMAR,
        "    std::string _add_rule(const std::string & name, const std::string & rule) {\n",
        _name_limit("name", LONGEST_RULE_NAME),
    ),
    Edit(
        SCHEMA_GRAMMAR,
        "    std::string visit(const common_chat_schema & schema, const std::string & name) {\n",
        "        schema_nesting level;\n",
    ),
    Edit(
        SCHEMA_GRAMMAR,
        "add_component = [&](const common_chat_schema & comp, bool is_required) {\n",
        "            schema_nesting level;\n",
    ),
    # One level for each character of a property's name.
    Edit(
        SCHEMA_GRAMMAR,
        "        std::function<void(size_t)> visit = [&](size_t idx) {\n",
        "            schema_nesting level;\n",
    ),
    Edit(
        SCHEMA_GRAMMAR,
        "get_recursive_refs = [&](const std::vector<std::string> & ks, bool first_is_optional) {\n",
        f"""\
                if (ks.size() > {MOST_OPTIONAL_PROPERTIES}) {{
                    throw std::invalid_argument("the JSON schema has too many optional properties");
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
