"""Pulumi components of the LLM stack: one ComponentResource a file, fed by checked settings."""
