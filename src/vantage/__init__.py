"""Vantage: fine-tune VLA robot policies from sparse episode outcomes."""

__version__ = "0.1.0"
