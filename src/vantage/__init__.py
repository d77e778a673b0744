"""Vantage: fine-tune VLA robot policies from sparse episode outcomes."""
