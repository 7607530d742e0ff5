"""Tests of the inference container's own code; none needs Docker or the network."""
