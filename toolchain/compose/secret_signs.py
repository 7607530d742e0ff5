"""What looks like a secret: by the name of its variable or option, or by the value itself."""

from __future__ import annotations

import re

# Of a name in words: one of these makes it a secret's.
_WORDS = {
    "password", "passwd", "passphrase", "passwort", "pass", "pwd", "pw", "secret", "secrets",
    "token", "apikey", "credential", "credentials", "creds", "salt", "auth", "dsn", "pat",
    "privatekey", "masterkey", "secretkey", "accesskey", "requirepass", "masterauth", "jwt",
}  # fmt: skip
# `…_KEY` is a secret where one of these is before it, or nothing else is in the name.
_KEYS = {
    "api", "access", "secret", "private", "encryption", "encrypt", "master", "auth", "signing",
    "session", "license", "licence", "service", "admin", "account", "shared", "jwt", "app", "creds",
    "crypto", "cookie", "root", "security", "webhook", "virtual", "primary", "subscription",
}  # fmt: skip
# The last word of a name that describes a secret, and is none.
_DESCRIPTIONS = {
    "file", "path", "dir", "url", "uri", "host", "port", "enabled", "enable", "disabled", "name",
    "type", "limit", "limits", "count", "length", "size", "ttl", "expiry", "expires", "expiration",
    "algorithm", "mode", "method", "policy", "min", "max", "user", "username", "header", "headers",
    "required", "parallelism", "id", "provider", "issuer", "audience", "scheme", "days", "minutes",
    "seconds", "hours", "timeout", "rounds", "public", "endpoint", "scope", "scopes", "role",
}  # fmt: skip
# As in components/config/named_secrets.py.
_ALWAYS = re.compile(
    r"((^|_)(TOKEN|KEY|PASS|PASSPHRASE|CREDENTIALS)|SECRET|PASSWORD|PASSWD|APIKEY)$", re.IGNORECASE
)
_PUBLIC_VALUES = {"true", "false", "yes", "no", "on", "off", "none", "null", "enabled", "disabled"}
_SECRET_VALUE = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY"
    r"|(?<![A-Za-z0-9])(?:sk|pk|rk)[-_][A-Za-z0-9_-]{16,}"
    r"|(?<![A-Za-z0-9])(?:gh[pousr]|hf|npm|gsk|dop_v1)_[A-Za-z0-9]{20,}"
    r"|(?<![A-Za-z0-9])(?:github_pat_|glpat-|xox[abeoprs]-|tvly-|nvapi-)[A-Za-z0-9_-]{16,}"
    r"|(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z0-9]{12,}|(?<![A-Za-z0-9])AIza[A-Za-z0-9_-]{20,}"
    r"|(?<![A-Za-z0-9])eyJ[A-Za-z0-9_-]{8,}\.?[A-Za-z0-9_-]*"
)
_RANDOM = re.compile(
    r"[0-9a-fA-F]{32,}|(?=\S*[0-9])(?=\S*[a-z])(?=\S*[A-Z])[A-Za-z0-9+/_-]{32,}={0,2}"
)
CREDENTIALS = re.compile(r"(?P<before>[A-Za-z][A-Za-z0-9+.-]*://[^\s/:@]*:)(?P<password>[^\s/@]+)@")
# Values that examples and defaults have in place of a secret.
_PLACEHOLDER = re.compile(
    r"change[-_ ]?(?:me|this|it)|your[-_ ]|example|secret|password|passw|postgres|minio|redis|mysql"
    r"|clickhouse|mongo|admin|root|guest|test|dummy|placeholder|0{8}|1234|replace|todo|xxx|insecure"
    r"|super|<|default|^.{0,7}$",
    re.IGNORECASE,
)
# Names of those who hand out keys: such a secret cannot be made here.
_ISSUERS = {
    "openai", "anthropic", "claude", "hf", "hugging", "huggingface", "huggingfacehub", "github",
    "gh", "gitlab", "google", "gemini", "vertex", "palm", "mistral", "groq", "cohere", "aws",
    "azure", "bedrock", "slack", "telegram", "discord", "stripe", "smtp", "mail", "email",
    "mailgun", "sendgrid", "twilio", "cloudflare", "cloudflared", "cf", "tunnel", "tavily", "serp",
    "serpapi", "serper", "brave", "openrouter", "deepseek", "langsmith", "langchain", "elevenlabs",
    "jina", "firecrawl", "voyage", "replicate", "together", "togetherai", "fireworks", "wandb",
    "ngc", "nvidia", "nim", "ldap", "oidc", "oauth", "saml", "client", "sentry", "license",
    "licence", "perplexity", "xai", "bing", "kagi", "exa", "notion", "linear", "jira", "atlassian",
    "civitai", "modelscope", "dashscope", "zhipu", "moonshot", "assemblyai", "deepgram", "bot",
    "weather", "openweather", "pinecone", "posthog", "wolfram", "dockerhub", "registry", "vpn",
    "wireguard", "tailscale", "ts", "ngrok", "route53", "s3", "r2", "b2", "gcs", "dropbox",
    "subscription", "gpustack", "runpod", "vast", "ollama", "hetzner", "digitalocean", "do",
}  # fmt: skip
# A key of the service itself: any random text is as good as another.
_OWN = {
    "password", "passwd", "passphrase", "pass", "pwd", "pw", "secret", "salt", "encryption",
    "master", "jwt", "creds", "session", "cookie", "auth", "root", "requirepass", "nextauth",
    "signing", "crypto", "accesskey", "secretkey", "masterauth",
}  # fmt: skip


def words(name: str) -> list[str]:
    """The words of a name: of `LANGFUSE_S3_accessKey`, `--api-key` and `Secret.Key`."""
    name = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    return [word for word in re.split(r"[^a-z0-9]+", name.lower()) if word]


def is_secret_name(name: str) -> bool:
    """Whether a variable or option of this name holds a secret."""
    if is_always_secret(name):
        return True
    parts = words(name)
    if not parts or parts[-1] in _DESCRIPTIONS or parts[0] in {"max", "min", "enable", "disable"}:
        return False
    if parts[-1] in {"key", "keys", "iv"}:
        return (
            len(parts) == 1
            or any(part in _KEYS | _WORDS for part in parts[:-1])
            or (len(parts) > 1 and parts[-2] in _ISSUERS)
        )
    return any(part in _WORDS for part in parts)


def is_always_secret(name: str) -> bool:
    """Whether the catalogue refuses a plain value under this name, whatever the value."""
    return _ALWAYS.search(name) is not None


def is_public_value(value: str) -> bool:
    """Whether a value cannot be a secret, whatever its name: a switch or a short number."""
    return (
        value.lower() in _PUBLIC_VALUES or re.fullmatch(r"[0-9]{1,3}(\.[0-9]+)?", value) is not None
    )


def is_secret_value(value: str) -> bool:
    """Whether a value looks like a secret by itself."""
    return bool(_SECRET_VALUE.search(value) or CREDENTIALS.search(value))


def is_random(value: str) -> bool:
    """Whether a whole value looks like random characters, as keys do."""
    return _RANDOM.fullmatch(value) is not None


def is_placeholder(value: str) -> bool:
    """Whether a value is what examples have in place of a secret."""
    return _PLACEHOLDER.search(value) is not None


def comes_from_elsewhere(name: str) -> bool:
    """Whether somebody else issues the secret of this name."""
    return any(part in _ISSUERS for part in words(name))


def is_own(name: str) -> bool:
    """Whether the services themselves decide what the secret of this name is."""
    return any(part in _OWN for part in words(name))


def is_typed(name: str) -> bool:
    """Whether a person signs in with it."""
    parts = words(name)
    return parts[-1:] == ["password"] and bool({"admin", "user", "login", "basic"} & {*parts})
