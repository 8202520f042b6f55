"""What the tests of compare share: cheap learners, a result made up, a page read."""

import html.parser
import re
from dataclasses import replace

from sklearn.base import BaseEstimator, TransformerMixin

from metriclearn.compare import ComparisonResult
from metriclearn.compare._records import DataFacts, FoldRecord, LearnerFacts, RunFacts, Tuning

CHEAP = ["euclidean", "mahalanobis"]


class Broken(TransformerMixin, BaseEstimator):
    """Cannot learn."""

    def fit(self, X, y=None):
        raise RuntimeError("the machine\nis on strike")

    def transform(self, X):
        return X


def without_seconds(record):
    times = {"fit_seconds": None, "tune_seconds": None, "embed_seconds": None}
    return replace(record, task_seconds=0.0, **times)


def made_up(scores, family="linear"):
    """A result with these accuracies: {name: one score a fold}."""
    records = tuple(
        FoldRecord(
            name,
            "closed",
            fold,
            n_train=800,
            n_test=200,
            scores={"accuracy": score},
            validation=score,
            recall_at={"1": score, "2": score},
            dimension=2,
            fit_seconds=1.0,
            tune_seconds=0.0,
        )
        for name, folds in scores.items()
        for fold, score in enumerate(folds)
    )
    learners = tuple(
        LearnerFacts(name, name, "deep" if name.startswith("deep") else family) for name in scores
    )
    data = DataFacts("made up", "tabular", 1000, 2, 2, ("0", "1"), class_counts=(500, 500))
    about = RunFacts(
        command="none",
        seed=0,
        n_folds=5,
        tuning=Tuning(),
        n_tasks=len(records),
        n_resumed=0,
        protocols=("closed",),
        protocol_notes={"open": "left out"},
        axes={},
        started="",
        seconds=1.0,
        n_jobs=1,
        versions={"metriclearn": "0"},
        platform="",
        n_cores=1,
    )
    return ComparisonResult(learners, records, data, about)


CLOSE = {"a": [0.90, 0.92, 0.91, 0.93, 0.90], "b": [0.91, 0.90, 0.92, 0.90, 0.91]}


CLEAR = {"a": [0.90, 0.92, 0.91, 0.93, 0.90], "b": [0.80, 0.82, 0.80, 0.83, 0.81]}


class Links(html.parser.HTMLParser):
    """Collects what a browser would fetch, and checks that elements close."""

    VOID = ("meta", "img", "link", "br", "hr", "input", "wbr")

    def __init__(self):
        super().__init__()
        self.fetched, self.stack = [], []

    def handle_starttag(self, tag, attributes):
        self.fetched += [value for name, value in attributes if name in ("src", "href", "srcset")]
        if tag not in self.VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.fetched += [value for name, value in attributes if name in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag


def read_page(path):
    text = path.read_text(encoding="utf-8")
    page = Links()
    page.feed(text)
    assert page.stack == []
    assert all(link.startswith("data:") for link in page.fetched)
    assert not re.search(r"https?://|url\((?!data:)|@import|<link", text)
    return text
