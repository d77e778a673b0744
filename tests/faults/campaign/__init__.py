"""The campaign of `make faults`: kills, races, damage and bad input, each tried on the real commands.

    cases (family, kind, name) ──a process of its own each──> tried, held, lost

`datasets`, `checkpoints` and `names` list inputs that lie, and the tests of tests/faults use the same lists.
`kills`, `workers`, `races`, `damage` and `disk` disturb whole runs of `programs`. `board` keeps what came
out.
"""
