"""How much is spent on each learner, by one word."""

from dataclasses import dataclass

from metriclearn.compare._arguments import is_one_of


@dataclass(frozen=True)
class Effort:
    """What a word stands for.

    Attributes
    ----------
    name : str
    n_settings : int
        Of a learner's few settings, how many are tried.
    updates : tuple of int
        Updates of a network on rows, few rows: trained for each in turn while validation rises.
    image_updates : tuple of int
        The same on images.
    epochs : int
        Most epochs on many rows, where validation after each epoch says when to stop.
    n_open : int
        Open splits for each fold of the closed set.
    fine_updates : int
        Updates of a pretrained network that is trained further.
    tries_networks : bool
        Whether such a network is tried on validation rows first, which takes another fit.
    n_longer : int
        How often the limit of a solver's iterations is doubled while validation rises.
    """

    name: str
    n_settings: int
    updates: tuple
    image_updates: tuple
    epochs: int
    n_open: int
    fine_updates: int = 125
    tries_networks: bool = True
    n_longer: int = 0


EFFORTS = {
    effort.name: effort
    for effort in (
        Effort("quick", 1, (100,), (75,), 10, 1, 60, tries_networks=False),
        Effort("normal", 2, (100, 200, 400, 800, 1600), (75, 150, 300), 40, 1, n_longer=2),
        Effort(
            "thorough",
            3,
            (100, 200, 400, 800, 1600, 3200),
            (75, 150, 300, 600, 1200),
            100,
            4,
            500,
            n_longer=4,
        ),
    )
}
NORMAL = EFFORTS["normal"]


def find_effort(name):
    """Return an effort by its name."""
    if not is_one_of(name, EFFORTS):
        raise ValueError(f"effort={name!r} is unknown; there are {', '.join(EFFORTS)}")
    return EFFORTS[name]
