"""Distributed training: several workers that train one net together."""
