"""Photos and what they find: the winner beside the features as they are."""

from dataclasses import dataclass

import numpy as np

from metriclearn.compare._report._explore import Explorer

#: Queries shown of each kind: of all, worst of the winner, those that the two disagree on.
N_ANY, N_WORST, N_APART = 6, 3, 3


@dataclass(frozen=True)
class Line:
    """A query, and what it finds on either side: photos, whether they are right, classes."""

    query: int
    name: str
    sides: tuple


@dataclass(frozen=True)
class Gallery:
    """What a card shows.

    Attributes
    ----------
    names : tuple of str
        Of the two learners.
    groups : tuple of (str, tuple of Line)
        Heading and queries.
    """

    names: tuple
    groups: tuple

    @property
    def places(self):
        """All photos that are shown."""
        lines = [line for _, group in self.groups for line in group]
        shown = {line.query for line in lines}
        return shown | {place for line in lines for side in line.sides for place, *_ in side}


def pictured(result, key, protocol):
    """Return the record of a learner and protocol that has pictures, if any."""
    for record in result.records:
        if (record.learner, record.protocol) == (key, protocol) and record.map:
            return record
    return None


def places_shown(result):
    """Return the places of all rows that galleries, and cases of disagreement, show."""
    galleries = [photo_gallery(result, protocol) for protocol in result.protocols]
    shown = set().union(*(gallery.places for gallery in galleries if gallery))
    explorer = Explorer(result, pictured, [])
    for apart in filter(None, map(explorer.apart, result.protocols)):
        shown |= {row.place for _, cases in apart.groups for case in cases for row in case}
    return shown


def photo_gallery(result, protocol):
    """Choose the queries that say most about the winner and the features as they are.

    None where there is only one learner, or no cosine of the features.
    """
    keys = _two_keys(result, protocol)
    records = [pictured(result, key, protocol) for key in keys]
    if len(keys) < 2 or any(record is None or record.found is None for record in records):
        return None
    names = {learner.key: learner.name for learner in result.learners}
    class_names = result.data.class_names
    queries, codes = records[0].found.queries, records[0].map.labels
    taken = [np.array(record.found.classes) for record in records]
    right = [found == np.array(codes)[:, None] for found in taken]
    share = [hits.mean(axis=1) for hits in right]

    def line(i):
        sides = tuple(
            tuple(
                (place, bool(hit), class_names[code])
                for place, hit, code in zip(record.found.nearest[i], hits[i], found[i], strict=True)
            )
            for record, hits, found in zip(records, right, taken, strict=True)
        )
        return Line(queries[i], class_names[codes[i]], sides)

    groups = tuple(
        (heading, tuple(line(i) for i in chosen))
        for heading, chosen in _chosen(*share, names[keys[0]]).items()
        if len(chosen)
    )
    return Gallery(tuple(names[key] for key in keys), groups)


def _two_keys(result, protocol):
    """Return the winner and the cosine of the features; where that wins, the best beside it."""
    verdict = result.verdict(result.headline(protocol))
    if verdict is None:
        return ()
    keys = [verdict.key, *(entry.key for entry in verdict.against)]
    if "cosine" not in keys:
        return ()
    others = [key for key in keys if key != "cosine"]
    return (others[0], "cosine") if others else ()


def _chosen(share, other, name):
    """Return places of queries by heading; no query twice."""
    n = len(share)
    spread = np.unique(np.linspace(0, n - 1, min(n, N_ANY)).round().astype(int))
    worst = [i for i in np.argsort(share, kind="stable") if share[i] < 1 and i not in spread]
    worst = worst[:N_WORST]
    gap = share - other
    apart = [
        i
        for i in np.argsort(-np.abs(gap), kind="stable")
        if gap[i] and i not in spread and i not in worst
    ]
    return {
        "Some of all": spread,
        f"Worst of {name}": worst,
        "Where the two differ most": apart[:N_APART],
    }
