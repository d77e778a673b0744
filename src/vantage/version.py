"""The version of this code, which every record names (round.json)."""

__version__ = "0.1.0"
