"""Drawings of the 26 garbage classes: data where there is none."""
