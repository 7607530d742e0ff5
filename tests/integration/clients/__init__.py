"""Real clients of the gateway, each in a process with the versions in the lock files."""
