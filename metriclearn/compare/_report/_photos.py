"""Photos and what they find: the winner beside the features as they are."""

import base64
import io
from dataclasses import dataclass

import numpy as np

from metriclearn._extras import require

#: Queries shown of each kind: of all, worst of the winner, those that the two disagree on.
N_ANY, N_WORST, N_APART = 6, 3, 3
# Bounds the page: some 2 kB for a photo that is shown, 1 kB for one on the maps alone.
SIDE, MAP_SIDE = 64, 40
QUALITY = 70


@dataclass(frozen=True)
class Line:
    """A query, and what it finds on either side: places of photos, and whether they are right."""

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
        return shown | {place for line in lines for side in line.sides for place, _ in side}


def photo_gallery(result, protocol, pictured):
    """Choose the queries that say most about the winner and the features as they are.

    Parameters
    ----------
    result : ComparisonResult
    protocol : {"closed", "open"}
    pictured : callable
        ``pictured(result, key, protocol)``, the record of a learner that has pictures, or None.

    Returns
    -------
    Gallery or None
        None where there are no photos to show, or only one learner.
    """
    if result.photos is None:
        return None
    keys = _two_keys(result, protocol)
    records = [pictured(result, key, protocol) for key in keys]
    if len(keys) < 2 or any(record is None or record.found is None for record in records):
        return None
    names = {learner.key: learner.name for learner in result.learners}
    codes = result.photos[1]
    queries = np.array(records[0].found.queries)
    nearest = [np.array(record.found.nearest) for record in records]
    right = [codes[found] == codes[queries][:, None] for found in nearest]
    share = [hits.mean(axis=1) for hits in right]

    def line(i):
        sides = tuple(
            tuple(zip(found[i].tolist(), hits[i].tolist(), strict=True))
            for found, hits in zip(nearest, right, strict=True)
        )
        return Line(int(queries[i]), result.data.class_names[codes[queries[i]]], sides)

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


def thumbnails(result, shown, mapped):
    """Return the photos of a page as rules of style, each once.

    Parameters
    ----------
    result : ComparisonResult
    shown, mapped : set of int
        Places of photos that are shown, and of those that only maps show.

    Returns
    -------
    str
    """
    if result.photos is None or not shown | mapped:
        return ""
    image_module = require("PIL.Image", "images")
    pixels, rules = result.photos[0], []
    for place in sorted(shown | mapped):
        image = image_module.fromarray(pixels[place])
        side = SIDE if place in shown else MAP_SIDE
        image.thumbnail((side, side))
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=QUALITY)
        data = base64.b64encode(stream.getvalue()).decode()
        rules.append(f".p{place}{{background-image:url(data:image/jpeg;base64,{data})}}")
    return "\n".join(rules)
