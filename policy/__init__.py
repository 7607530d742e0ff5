"""Pulumi policy pack: security rules for every resource of a stack."""
