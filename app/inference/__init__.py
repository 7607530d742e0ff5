"""Fetches a model and serves it with llama-server: what runs inside the inference container."""
