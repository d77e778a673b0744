"""Every case of the campaign, in the order of the table."""

from collections.abc import Iterator

from campaign import damage, disk, input, kills, names, races, workers
from campaign.cases import Case

FAMILIES = (kills, workers, races, damage, disk, input, names)


def every_case(seed: int) -> Iterator[Case]:
    """All of them; `seed` draws moments and damage."""
    for family in FAMILIES:
        yield from family.cases(seed)
