"""The one way to refuse bad input."""


class VantageError(Exception):
    """Bad input. The message is one sentence: what is wrong, where, and what to do. The command line exits with 2."""
