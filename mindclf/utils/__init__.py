"""Helpers that are about no image: files, claims, the cache, cores, signals, HTTP, optional packages."""
