"""What a stack must never contain, whoever changed it."""
