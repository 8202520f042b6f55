"""Columns that name what was measured repeatedly: a person, a machine, a session."""

import re

import numpy as np

from metriclearn.compare._inspect._columns import _quoted
from metriclearn.compare._inspect._finding import counted, make_finding
from metriclearn.compare._inspect._view import NUMBER, WORD

_GROUP_NAME = re.compile(
    r"(?:.*[\W_])?(?:subject|patient|person|participant|respondent|user|speaker|writer|author|"
    r"drawer|donor|animal|mouse|rat|child|student|pupil|customer|client|household|family|session|"
    r"visit|specimen|device|machine|sensor|camera|group|cluster|proband|volunteer|individual|"
    r"subj|pid|sid)s?(?:[\W_]?(?:id|ids|no|nr|num|number|code|name|key))?",
    re.I,
)


def check_named_groups(view, known=()):
    """Find columns that by their name and values say which rows belong together.

    Parameters
    ----------
    view : View
    known : iterable of Finding, default=()
        Columns of these are not looked at.

    Returns
    -------
    list of Finding
    """
    done = {name for finding in known for name in finding.columns}
    findings = []
    for j, (name, kind) in enumerate(zip(view.names, view.kinds, strict=True)):
        if name in done or kind not in (NUMBER, WORD) or not _GROUP_NAME.fullmatch(name.strip()):
            continue
        values = view.values[:, j]
        distinct, counts = np.unique(values[~np.isnan(values)], return_counts=True)
        whole = kind == WORD or bool((distinct == np.floor(distinct)).all())
        if whole and len(distinct) >= 3 and np.median(counts) >= 2:
            findings.append(
                make_finding(
                    "repeated_measurements",
                    f"Column {name!r} names {counted(len(distinct), 'thing')} that were measured "
                    f"{counts.sum() / len(distinct):.0f} times each.",
                    f"Rows of one value may be in training and test; --groups {_quoted(name)} "
                    f"keeps them together.",
                    columns=[name],
                )
            )
    return findings
