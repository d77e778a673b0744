"""Environments that speak gymnasium's language, as worlds: a value names one, an adapter plays it."""
