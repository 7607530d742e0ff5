"""Program of the inference container: downloads a model and serves it with llama-server."""
