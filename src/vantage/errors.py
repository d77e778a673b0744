"""The one way to refuse bad input, and to say that a run cannot go on."""


class VantageError(Exception):
    """Bad input. The message is one sentence: what is wrong, where, and what to do. The command line exits with 2."""


class LostProcess(VantageError):
    """Another process of the same run has ended or does not answer. The command line exits with 1."""
