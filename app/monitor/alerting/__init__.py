"""Alerts to webhooks, and heartbeats.

Formats and retries are written here, without a library: Apprise 2.3 would add 26 MB to an image
with a budget of 30 MB and 20 MB of memory, and its senders block. Tenacity (0.3 MB) would replace
one line, since messages, attempts and due times have to survive a restart of the monitor.
"""
