"""Health monitor of a stack: checks its services, decides on restarts, and tells people why."""
