"""`command`, `entrypoint` and `healthcheck.test`, which cannot hold secrets.

A secret in a command becomes a variable of `secret_environment`, which a shell puts in.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from toolchain.compose.interpolation import Reference, Variables
from toolchain.compose.known_images import known_image
from toolchain.compose.model_servers import KEY_VARIABLES, server_kind
from toolchain.compose.outcome import Outcome
from toolchain.compose.plain_values import PlainValues
from toolchain.compose.secret_signs import is_secret_name, words
from toolchain.compose.secrets import Part, SecretPart, Secrets, parts_with_secrets
from toolchain.compose.yaml_file import Section

_SHELLS = {"sh", "bash", "ash", "dash", "zsh"}
_OPTION = re.compile(r"(--?[A-Za-z][A-Za-z0-9_.-]*)(?:=(.*))?", re.DOTALL)
# In a script: an option or an assignment, and its value.
_IN_SCRIPT = re.compile(
    r"(?P<name>(?<![\w-])--?[A-Za-z][\w.-]*(?=[ =])|(?<![\w-])[A-Za-z_]\w*(?==))"
    r"(?P<between>[ =]+)(?P<quote>[\"']?)(?P<value>[^\s\"';|&]+)"
)


@dataclass
class Words:
    """The words of a command, each in parts."""

    words: list[list[Part]]

    @property
    def has_secret(self) -> bool:
        return any(isinstance(part, SecretPart) for word in self.words for part in word)


@dataclass
class CommandRules:
    """Puts the commands of services into their entries."""

    variables: Variables
    secrets: Secrets
    plain: PlainValues

    def apply(self, service: Section, outcome: Outcome) -> None:
        """Put `entrypoint` and `command` into the entry."""
        entrypoint = self._words(service.get("entrypoint"), outcome)
        command = self._words(service.get("command"), outcome)
        for key, given in (("entrypoint", entrypoint), ("command", command)):
            if given is None and service.get(key, "") is None and key in service:
                outcome.change(key, "left out: it is empty")
        if command is not None:
            self._key_variables(service, command, outcome)
        whole = [*(entrypoint.words if entrypoint else []), *(command.words if command else [])]
        if not Words(whole).has_secret:
            self._put_plain("entrypoint", service, entrypoint, outcome)
            self._put_plain("command", service, command, outcome)
        elif _script_at(whole) is not None:
            self._put_script(entrypoint, whole, outcome)
        else:
            self._put_shell(service, entrypoint, command, outcome)

    def health_check(self, test: object, outcome: Outcome) -> list[str] | str | None:
        """The test of a health check, with variables in place of secrets."""
        if isinstance(test, str):
            return (
                self._script([test], outcome)
                if self._script_parts(test, outcome)
                else self._text(test, outcome)
            )
        given = [str(word) for word in test] if isinstance(test, list) else []
        kind, *rest = given or ["NONE"]
        found = self._divided(rest, outcome)
        if not found.has_secret and not (
            kind == "CMD-SHELL" and self._script_parts(rest[0], outcome)
        ):
            return [kind, *(self._text(word, outcome) for word in rest)]
        outcome.change("healthcheck.test", "a shell puts its secret in, from the environment")
        if kind == "CMD-SHELL":
            return ["CMD-SHELL", self._script(rest, outcome)]
        return ["CMD-SHELL", self._quoted(found.words, outcome)]

    def _words(self, given: object, outcome: Outcome) -> Words | None:
        if isinstance(given, str):
            try:
                return self._divided(shlex.split(given), outcome) if given.strip() else None
            except ValueError:
                outcome.refuse(
                    "command", "its quotes are not closed", "correct it in the compose file"
                )
                return None
        if isinstance(given, list) and given:
            return self._divided([str(word) for word in given], outcome)
        return None

    def _divided(self, given: list[str], outcome: Outcome) -> Words:
        """Words in parts: a secret is named by the option before it."""
        found: list[list[Part]] = []
        option = ""
        for word in given:
            match = _OPTION.fullmatch(word)
            if match and match[2] is not None:
                value = self._parts(match[1], match[2], outcome)
                found.append([f"{match[1]}=", *value])
                option = ""
            elif match:
                found.append([word])
                option = match[1]
            elif re.search(r"\s", word):
                found.append(self._script_parts(word, outcome) or self._parts("", word, outcome))
                option = ""
            else:
                found.append(self._parts(option, word, outcome))
                option = ""
        return Words(found)

    def _parts(self, option: str, text: str, outcome: Outcome) -> list[Part]:
        name = "_".join(words(option)).upper()
        return parts_with_secrets(name, text, outcome.original, self.secrets, self.variables)

    def _script_parts(self, script: str, outcome: Outcome) -> list[Part] | None:
        """The parts of a shell's script that has secrets; None for one without any."""
        found: list[Part] = []
        at = 0
        for match in _IN_SCRIPT.finditer(script):
            if not is_secret_name(match["name"]) or match["value"].startswith("$"):
                continue
            found += self._parts("", script[at : match.start("value")], outcome)
            found += self._parts(match["name"], match["value"], outcome)
            at = match.end("value")
        found += self._parts("", script[at:], outcome)
        return found if any(isinstance(part, SecretPart) for part in found) else None

    def _text(self, word: str, outcome: Outcome) -> str:
        return self.plain.text(word, outcome.name)

    def _plain_part(self, part: Part, outcome: Outcome) -> str:
        if isinstance(part, Reference):
            return self.plain.reference(part, outcome.name)
        return part if isinstance(part, str) else ""

    def _plain_word(self, word: list[Part], outcome: Outcome) -> str:
        return "".join(self._plain_part(part, outcome) for part in word)

    def _put_plain(self, key: str, service: Section, given: Words | None, outcome: Outcome) -> None:
        if given is None:
            return
        original = service.get(key)
        if isinstance(original, str) and not self.variables.references(original):
            outcome.carry(key, original.strip())
        else:
            outcome.carry(key, [self._plain_word(word, outcome) for word in given.words])

    def _variable(self, part: SecretPart, outcome: Outcome) -> str:
        """The variable of the container that holds a secret, added where it has none."""
        held: dict[str, str] = outcome.entry.setdefault("secret_environment", {})
        for name, text in held.items():
            if text == part.text:
                return name
        name = re.sub(r"[^A-Z0-9]+", "_", part.variable.upper()).strip("_") or "SECRET"
        if not name[0].isalpha() or name in held:
            name = re.sub(r"[^A-Z0-9]+", "_", part.secret.name.upper())
        held[name] = part.text
        return name

    def _key_variables(self, service: Section, command: Words, outcome: Outcome) -> None:
        """Options that the server also reads from its environment are left out."""
        variables = KEY_VARIABLES.get(server_kind(service, self.variables) or "", {})
        kept: list[list[Part]] = []
        taken: str | None = None
        for word in command.words:
            text = word[0] if word and isinstance(word[0], str) else ""
            option, _, _ = text.partition("=")
            if taken:
                self._hold(taken, word, outcome)
                taken = None
            elif option in variables:
                variable = variables[option]
                outcome.change(f"command {option}", f"in secret_environment as {variable}")
                if text == option:
                    taken = variable
                else:
                    self._hold(variable, word[1:], outcome)
            else:
                kept.append(word)
        command.words = kept

    def _hold(self, name: str, word: list[Part], outcome: Outcome) -> None:
        for part in word:
            if isinstance(part, SecretPart):
                held = outcome.entry.setdefault("secret_environment", {})
                held[name] = part.text
                outcome.entry.get("environment", {}).pop(name, None)

    def _put_script(
        self, entrypoint: Words | None, whole: list[list[Part]], outcome: Outcome
    ) -> None:
        """A command that is a shell already: its script reads the variables."""
        at = _script_at(whole)
        texts = [
            self._with_variables(word, outcome)
            if position == at
            else self._plain_word(word, outcome)
            for position, word in enumerate(whole)
        ]
        first = len(entrypoint.words) if entrypoint else 0
        if first:
            outcome.entry["entrypoint"] = texts[:first]
        if texts[first:]:
            outcome.entry["command"] = texts[first:]
        outcome.change("command", "its script reads the secret from the environment")

    def _put_shell(
        self,
        service: Section,
        entrypoint: Words | None,
        command: Words | None,
        outcome: Outcome,
    ) -> None:
        """A command that is no shell's gets one, where the image's program is known."""
        own = known_image(service.get("image")).entrypoint
        before = entrypoint.words if entrypoint else [[word] for word in own or ()]
        after = command.words if command else []
        if entrypoint is None and own is None:
            self._lose_secret(service, after, outcome)
            return
        outcome.entry["entrypoint"] = ["sh", "-c"]
        outcome.entry["command"] = ["exec " + self._quoted([*before, *after], outcome)]
        outcome.change(
            "command", "a shell puts the secret in, from secret_environment, and then runs it"
        )

    def _lose_secret(self, service: Section, command: list[list[Part]], outcome: Outcome) -> None:
        kept: list[str] = []
        lost: list[str] = []
        for word in command:
            if any(isinstance(part, SecretPart) for part in word):
                for part in word:
                    if isinstance(part, SecretPart):
                        lost.append(f'"${self._variable(part, outcome)}"')
                if len(word) == 1 and kept and kept[-1].startswith("-"):
                    lost.insert(-1, kept.pop())
            else:
                kept.append(self._plain_word(word, outcome))
        if kept:
            outcome.entry["command"] = kept
        outcome.lose(
            "command",
            "it holds a secret, and the image is not in the list of known entrypoints",
            "write entrypoint: [sh, -c] and command: ['exec PROGRAM "
            f"{' '.join(lost)}'], where PROGRAM is what this command prints: "
            f"docker image inspect -f '{{{{.Config.Entrypoint}}}}' {service.get('image', 'IMAGE')}",
        )

    def _quoted(self, words_: list[list[Part]], outcome: Outcome) -> str:
        """Words as a shell reads them, with variables in place of secrets."""
        return " ".join(
            "".join(
                f'"${self._variable(part, outcome)}"'
                if isinstance(part, SecretPart)
                else shlex.quote(self._plain_part(part, outcome))
                if self._plain_part(part, outcome)
                else ""
                for part in word
            )
            or "''"
            for word in words_
        )

    def _script(self, words_: list[str], outcome: Outcome) -> str:
        outcome.change("healthcheck.test", "its script reads the secret from the environment")
        parts = [part for word in words_ for part in self._script_parts(word, outcome) or [word]]
        return self._with_variables(parts, outcome)

    def _with_variables(self, parts: list[Part], outcome: Outcome) -> str:
        """A script with variables in place of secrets, as its quotes need them."""
        text = ""
        for part in parts:
            if not isinstance(part, SecretPart):
                text += self._plain_part(part, outcome)
                continue
            name = self._variable(part, outcome)
            match _open_quote(text):
                case "'":
                    text += f"'\"${name}\"'"
                case '"':
                    text += f"${{{name}}}"
                case _:
                    text += f'"${name}"'
        return text


def _open_quote(script: str) -> str:
    """The quote that is not closed at the end of a script's beginning."""
    quote = ""
    characters: Iterator[str] = iter(script)
    for character in characters:
        if character == "\\" and quote != "'":
            next(characters, None)
        elif character == quote:
            quote = ""
        elif character in "'\"" and not quote:
            quote = character
    return quote


def _text_of(word: list[Part]) -> str:
    """A word without variables; empty for any other."""
    return word[0] if len(word) == 1 and isinstance(word[0], str) else ""


def _script_at(whole: list[list[Part]]) -> int | None:
    """Which word is the script of a shell."""
    texts = [_text_of(word) for word in whole]
    for at, text in enumerate(texts[:-1]):
        if text.startswith("-") and text.endswith("c") and at:
            before = texts[at - 1].rpartition("/")[2]
            if before in _SHELLS or (before.startswith("-") and at > 1):
                return at + 1
    return None
