"""Inference: what runs a net that is in a file, what it is given, and what it answers."""
