"""The versions that are installed; `requirements.lock` and the go.mod files contain the same."""

PULUMI = "3.256.0"
DOCKER_PLUGIN = "5.2.0"
