"""Health monitor of a stack: checks its services, restarts unhealthy ones, and sends alerts."""
