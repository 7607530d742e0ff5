"""The chat service: an OpenAI-compatible gateway in front of the models, and its page."""
