"""What a reader may look at row by row: rows of the maps, and what they find under two metrics."""

import base64
import io
from dataclasses import dataclass

import numpy as np

from metriclearn._extras import require
from metriclearn.compare._samples import Samples
from metriclearn.compare._verdict._table import records_of

#: Columns of a row that are shown: those that weigh most.
MOST_COLUMNS = 10
#: Queries that one metric gets right and the other wrong, of each kind.
MOST_APART = 5
QUALITY = 70
#: Most pixels on a side of pictures that are looked at one by one.
SMALL_SIDE = 40


@dataclass(frozen=True)
class Shown:
    """A row as the page shows it.

    Attributes
    ----------
    place : int
    number : int
        Row of the data, from 1.
    name : str
        Its class.
    values : tuple of str
    right : bool or None
        Whether it is of the class that was looked for.
    """

    place: int
    number: int
    name: str
    values: tuple
    right: bool | None = None


@dataclass(frozen=True)
class Apart:
    """Queries that one of two metrics gets right and the other wrong.

    Attributes
    ----------
    names : (str, str)
        Of the metrics.
    counts : (int, int, int, int)
        Queries that both, the first alone, the second alone and neither get right.
    groups : tuple of (str, tuple of (Shown, Shown, Shown))
        Heading; query, and its nearest row by either.
    """

    names: tuple
    counts: tuple
    groups: tuple


class Explorer:
    """Rows of a result, ready to be shown.

    Parameters
    ----------
    result : ComparisonResult
    pictured : callable
        ``pictured(result, key, protocol)``, the record of a learner that has pictures, or None.
    columns : list of str
        Names of columns, those that matter most first.
    """

    def __init__(self, result, pictured, columns):
        self.result = result
        self.pictured = pictured
        self.samples = result.samples or Samples()
        known = {name: i for i, name in enumerate(self.samples.columns)}
        first = [known[name] for name in columns if name in known]
        self.picked = [*first, *(i for i in known.values() if i not in set(first))][:MOST_COLUMNS]

    @property
    def columns(self):
        """Names of the values that are shown."""
        return [self.samples.columns[i] for i in self.picked]

    def shown(self, place, code, looked_for=None):
        """Return a row as it is shown."""
        values = self.samples.values.get(place)
        return Shown(
            place,
            self.samples.numbers.get(place, place + 1),
            self.result.data.class_names[code],
            () if values is None else tuple(values[i] for i in self.picked),
            None if looked_for is None else bool(code == looked_for),
        )

    def records(self, protocol):
        """Return the records whose maps show the same rows, by learner."""
        records, rows = {}, None
        for row in self.result.rows():
            record = self.pictured(self.result, row.key, protocol)
            if record is None or record.found is None or record.map.rows is None:
                continue
            rows = rows or record.map.rows
            if record.map.rows == rows == record.found.queries:
                records[row.key] = record
        return records

    def apart(self, protocol):
        """Return what the best linear and the best deep metric do not agree on; None if nothing."""
        records = self.records(protocol)
        if len(records) < 2:
            return None
        keys = [key for key in two_metrics(self.result, protocol) if key in records]
        if len(keys) < 2:
            return None
        found = [records[key].found for key in keys]
        codes = np.array(records[keys[0]].map.labels)
        hits = [np.array(each.classes) == codes[:, None] for each in found]
        one, other = (hit[:, 0] for hit in hits)
        gap = hits[0].sum(axis=1) - hits[1].sum(axis=1)
        names = {learner.key: learner.name for learner in self.result.learners}
        groups = []
        for right, wrong, sign, key in ((one, other, -1, keys[0]), (other, one, 1, keys[1])):
            rows = np.flatnonzero(right & ~wrong)
            rows = rows[np.argsort(sign * gap[rows], kind="stable")][:MOST_APART]
            cases = tuple(self._case(i, codes[i], found) for i in rows)
            if cases:
                groups.append((f"Only {names[key]} is right", cases))
        counts = (one & other, one & ~other, ~one & other, ~one & ~other)
        counts = tuple(int(each.sum()) for each in counts)
        return Apart(tuple(names[key] for key in keys), counts, tuple(groups))

    def _case(self, i, code, found):
        nearest = (self.shown(each.nearest[i][0], each.classes[i][0], code) for each in found)
        return self.shown(found[0].queries[i], code), *nearest

    def data(self, protocols):
        """Return what the page's script reads: plain lists and texts.

        Points are in the order in which the maps draw them: class by class.
        """
        names = {learner.key: learner.name for learner in self.result.learners}
        plain, places = {}, set()
        for protocol in protocols:
            records = self.records(protocol)
            if not records:
                continue
            first = next(iter(records.values())).map
            order = np.argsort(first.labels, kind="stable").tolist()
            pair = [key for key in two_metrics(self.result, protocol) if key in records]
            plain[protocol] = {
                "rows": [first.rows[i] for i in order],
                "labels": [first.labels[i] for i in order],
                "pair": (pair + list(records))[:2],
                "metrics": [
                    {
                        "key": key,
                        "name": names[key],
                        "nearest": [record.found.nearest[i] for i in order],
                        "classes": [record.found.classes[i] for i in order],
                    }
                    for key, record in records.items()
                ],
            }
            places |= set(first.rows)
            places |= {p for r in records.values() for found in r.found.nearest for p in found}
        values = {
            place: [self.samples.values[place][i] for i in self.picked]
            for place in sorted(places)
            if place in self.samples.values
        }
        numbers = {place: self.samples.numbers.get(place, place + 1) for place in sorted(places)}
        return {
            "classes": self.result.data.class_names,
            "columns": self.columns,
            "protocols": plain,
            "values": values,
            "numbers": numbers,
            "pictures": sorted(places & set(self.samples.pixels)),
        }

    def pictures(self, large):
        """Return the pictures of rows as rules of style, each once.

        Parameters
        ----------
        large : set of int
            Places of those that are shown larger than the others.
        """
        if not self.samples.pixels:
            return ""
        image_module = require("PIL.Image", "images")
        rules = []
        for place, pixels in self.samples.pixels.items():
            image = image_module.fromarray(pixels)
            if place not in large:
                image.thumbnail((SMALL_SIDE, SMALL_SIDE))
            stream, kind = io.BytesIO(), "png" if pixels.size <= 1024 else "jpeg"
            image.save(stream, kind.upper(), quality=QUALITY, optimize=True)
            data = base64.b64encode(stream.getvalue()).decode()
            rules.append(f".p{place}{{background-image:url(data:image/{kind};base64,{data})}}")
        return "\n".join(rules)


#: Questions whose two sides are worth a closer look, the first that has an answer.
CONTRASTS = ("deep", "fine_tuning", "frozen", "learning")


def two_metrics(result, protocol):
    """Return the keys of the best linear and the best deep metric, or of the like of them.

    The simpler one comes first; they are fewer than two where there are no two.
    """
    keys = {learner.name: learner.key for learner in result.learners}
    answers = {answer.question: answer for answer in result.answers(protocol)}
    for question in CONTRASTS:
        if question in answers:
            return keys[answers[question].against], keys[answers[question].learner]
    done = {record.learner for record in records_of(result, protocol)}
    return tuple(row.key for row in result.rows() if row.key in done)[:2]
