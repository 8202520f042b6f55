"""How often the verdict of ``compare`` is wrong: learners that are equally good, and planted leads.

    OMP_NUM_THREADS=1 python benchmarks/verdict.py equal [--runs 300]
    OMP_NUM_THREADS=1 python benchmarks/verdict.py planted [--runs 100]
    OMP_NUM_THREADS=1 python benchmarks/verdict.py --stability --data DIR [--out FILE]

Learner j searches the j-th block of features; all blocks have the same class means and
independent noise, so that all learners are exactly as good as each other on new rows; of amounts
all blocks have the same hidden rows, of which the amounts are a sum of waves. With
``planted`` the noise of one deep learner is smaller. Splits, validation scores and the verdict
are those of the product. ``--stability`` compares the answers of the first card at effort normal
and thorough on every labeled set of DIR and scikit-learn's four, at most 2,000 rows of each; it
goes on from what FILE holds, and from the fits in folders beside it.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
from sklearn import datasets
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.neighbors import KNeighborsRegressor

from metriclearn.compare import ComparisonResult, compare
from metriclearn.compare._records import DataFacts, FoldRecord, LearnerFacts, RunFacts, Tuning
from metriclearn.metrics import retrieval_scores
from metriclearn.model_selection import ClassDisjointShuffleSplit

FAMILIES = ("baseline", *["linear"] * 4, *["deep"] * 4)
MEASURE = {"closed": "accuracy", "open": "map_at_r", "amounts": "r2"}


def blocks(rng, n_classes, n_rows, lead):
    """Make the rows of each learner: the same class means, noise of its own."""
    means = rng.standard_normal((n_classes, 4))
    y = np.repeat(np.arange(n_classes), n_rows)
    noise = [1.0] * (len(FAMILIES) - 1) + [1 - lead]
    return [means[y] + scale * rng.standard_normal((len(y), 4)) for scale in noise], y


def amount_blocks(rng, n_rows, lead):
    """Make the rows of each learner: the same hidden ones, noise of its own."""
    hidden = rng.standard_normal((n_rows, 4))
    y = np.sin(2 * hidden).sum(axis=1) + hidden[:, 0]
    noise = [0.6] * (len(FAMILIES) - 1) + [0.6 * (1 - lead)]
    return [hidden + scale * rng.standard_normal(hidden.shape) for scale in noise], y


def nearest_three(gallery, labels, queries):
    """Classify by the three nearest rows; of three classes by the nearest."""
    apart = (gallery**2).sum(axis=1) - 2 * queries @ gallery.T
    near = np.argpartition(apart, 3, axis=1)[:, :3]
    order = np.argsort(np.take_along_axis(apart, near, axis=1), axis=1)
    found = labels[np.take_along_axis(near, order, axis=1)]
    return np.where(found[:, 1] == found[:, 2], found[:, 1], found[:, 0])


def score(protocol, Z, y, train, test):
    """Score a learner on a split."""
    if protocol == "amounts":
        nearest = KNeighborsRegressor(5).fit(Z[train], y[train])
        return nearest.score(Z[test], y[test])
    if protocol == "closed":
        return float(np.mean(nearest_three(Z[train], y[train], Z[test]) == y[test]))
    return retrieval_scores(Z[test], y[test], ["map_at_r"])["map_at_r"]


def simulated(seed, protocol, n_classes, n_rows, n_folds, lead=0.0):
    """Run one comparison of made-up learners, as a result of the product."""
    rng = np.random.default_rng(seed)
    if protocol == "amounts":
        spaces, y = amount_blocks(rng, n_rows, lead)
        splits = KFold(n_folds, shuffle=True, random_state=seed).split(y)
    else:
        spaces, y = blocks(rng, n_classes, n_rows, lead)
    if protocol == "closed":
        splits = StratifiedKFold(n_folds, shuffle=True, random_state=seed).split(y, y)
    elif protocol == "open":
        splits = ClassDisjointShuffleSplit(
            n_folds, test_size=n_classes // 2, random_state=seed
        ).split(y, y)
    records, asked = [], "closed" if protocol == "amounts" else protocol
    for fold, (train, test) in enumerate(splits):
        held = rng.random(len(train)) < 0.25
        for j, Z in enumerate(spaces):
            found = score(protocol, Z, y, train, test)
            if protocol != "open":
                validated = score(protocol, Z, y, train[~held], train[held])
            else:
                validated = score(protocol, Z, y, None, train)
            measured = {MEASURE[protocol]: found}
            if protocol != "amounts":
                measured |= dict.fromkeys(
                    ("balanced_accuracy", "recall_at_1", "r_precision"), found
                )
            records.append(
                FoldRecord(
                    f"l{j}",
                    asked,
                    fold,
                    len(train),
                    len(test),
                    scores=measured,
                    validation=validated,
                    dimension=4,
                    fit_seconds=1.0,
                    tune_seconds=0.0,
                )
            )
    learners = tuple(LearnerFacts(f"l{j}", f"l{j}", family) for j, family in enumerate(FAMILIES))
    names = tuple(map(str, range(n_classes)))
    counts = (n_rows,) * n_classes
    facts = DataFacts("made up", "tabular", len(y), 4, n_classes, names, class_counts=counts)
    if protocol == "amounts":
        quartiles = tuple(np.quantile(y, (0, 0.25, 0.5, 0.75, 1)).tolist())
        facts = DataFacts("made up", "tabular", len(y), 4, 0, (), amounts=quartiles)
    about = RunFacts(
        command="none",
        seed=seed,
        n_folds=n_folds,
        tuning=Tuning(),
        n_tasks=len(records),
        n_resumed=0,
        protocols=(asked,),
        measures={asked: MEASURE[protocol]},
        protocol_notes={},
        axes={},
        started="",
        seconds=1.0,
        n_jobs=1,
        versions={},
        platform="",
        n_cores=1,
    )
    return ComparisonResult(learners, tuple(records), facts, about)


def equal(runs):
    """Print how often equal learners are told apart."""
    print("| splits | 'worth it' | anyone beyond the noise | verdict given |\n|---|---|---|---|")
    settings = [("closed", 10, 20, 5), ("open", 10, 60, 5), ("open", 20, 10, 5)]
    settings += [("closed", 10, 20, 2), ("closed", 10, 20, 3)]
    settings += [
        ("amounts", 1, n_rows, n_folds) for n_rows, n_folds in ((200, 5), (1000, 5), (200, 3))
    ]
    for protocol, n_classes, n_rows, n_folds in settings:
        worth = anyone = given = 0
        for seed in range(runs):
            result = simulated(seed, protocol, n_classes, n_rows, n_folds)
            verdict = result.verdict(MEASURE[protocol])
            worth += result.answer("deep", MEASURE[protocol]).answer in ("yes", "no")
            anyone += any(entry.is_told for entry in verdict.against)
            given += verdict.simplest is not None
        size = f"{n_rows} rows" if protocol == "amounts" else f"{n_classes} classes × {n_rows}"
        name = f"{protocol}, {size}, {n_folds}"
        shares = (f"{100 * n / runs:.1f}%" for n in (worth, anyone, given))
        print(f"| {name} | {' | '.join(shares)} |", flush=True)


def planted(runs):
    """Print how often a lead is found, by its size in units of the smallest that is said."""
    print("| splits | lead over the smallest said | found |\n|---|---|---|")
    closed, opened, amounts = ("closed", 10, 20), ("open", 10, 60), ("amounts", 1, 200)
    for (protocol, n_classes, n_rows), most in ((closed, 0.6), (opened, 0.6), (amounts, 0.95)):
        found = []
        for lead in np.linspace(0.1, most, 11):
            for seed in range(runs // 10):
                result = simulated(1000 + seed, protocol, n_classes, n_rows, 5, lead)
                answer = result.answer("deep", MEASURE[protocol])
                found.append(
                    (answer.lead.mean / answer.lead.smallest, answer.answer == "yes", lead)
                )
        ratios, told, leads = map(np.array, zip(*found, strict=True))
        # By the size that was planted: a run's own ratio decides its answer, and proves nothing.
        for lead in np.unique(leads):
            of = leads == lead
            print(
                f"| {protocol} | {ratios[of].mean():.2f} | {100 * told[of].mean():.0f}% |",
                flush=True,
            )


def labeled_sets(folder):
    """Return (name, X, y) of the sets, at most 2,000 rows of each, the smallest first.

    Of sets of many classes whole classes are drawn; the rows of Omniglot's two small sets are
    among those of the large one, which stands for them.
    """
    found = [
        (name, *getattr(datasets, f"load_{name}")(return_X_y=True))
        for name in ("iris", "wine", "digits", "breast_cancer")
    ]
    for file in sorted(Path(folder).glob("*.npz")):
        with np.load(file) as arrays:
            if {"X", "y"} <= set(arrays.files) and "omniglot_small" not in file.stem:
                X, y = arrays["X"], arrays["y"]
                rng = np.random.default_rng(0)
                rows = rng.permutation(len(y))
                if len(np.unique(y)) > 100:
                    rows = np.argsort(rng.permutation(y.max() + 1)[y], kind="stable")
                rows = rows[:2000]
                X = X[rows].reshape(len(rows), -1).astype(np.float32)
                found.append((file.stem, X, y[rows]))
    return sorted(found, key=lambda one: one[1].size)


def stability(folder, out):
    """Compare the answers at two budgets, and print the table of what the data say."""
    path = Path(out)
    known = json.loads(path.read_text()) if path.exists() else {}
    for name, X, y in labeled_sets(folder):
        for effort in ("normal", "thorough"):
            if f"{name} {effort}" in known:
                continue
            start = time.perf_counter()
            fits = path.with_name(f"{path.stem} {name} {effort}")
            result = compare(X, y, effort=effort, n_jobs=-1, name=name, resume=fits)
            protocol = result.protocols[0]
            measure = result.headline(protocol)
            known[f"{name} {effort}"] = {
                "answers": {
                    a.question: [
                        a.answer,
                        a.lead.mean,
                        a.lead.low,
                        a.lead.high,
                        a.learner,
                        a.against,
                    ]
                    for a in result.answers(protocol)
                },
                "rungs": {
                    row.key: [row.name, row.family, row.mean(measure), row.std(measure)]
                    for row in result.rows()
                    if row.mean(measure) is not None
                },
                "measure": measure,
                "size": [*X.shape, result.data.n_classes],
                "rising": list(result.verdict(measure).rising),
                "close": [a.question for a in result.answers(protocol) if a.lead.is_close],
                "seconds": time.perf_counter() - start,
            }
            path.write_text(json.dumps(known, indent=1))
            print(name, effort, known[f"{name} {effort}"]["answers"], file=sys.stderr, flush=True)
    print_what_data_say(known)


RUNGS = {
    "euclidean": "Euclid",
    "standardized": "standardized",
    "lda": "LDA",
    "linear": "best linear",
    "kernel": "kernel",
    "deep": "best deep",
    "stacked": "linear on deep",
    "reference": "boosting",
}
QUESTIONS = {"scaling": "scaling is enough", "learning": "learning", "deep": "deep over linear"}
MEASURES = {"balanced_accuracy": ", balanced"}


def print_what_data_say(known):
    """Print the rungs of each set at effort normal, its answers, and what thorough answers."""
    places = [place for place in known if place.endswith(" normal")]
    print_row("set", *RUNGS.values())
    print_row(*["---"] * (len(RUNGS) + 1))
    for place in places:
        normal = known[place]
        size = " × ".join(map(str, normal["size"]))
        name = place.removesuffix(" normal") + MEASURES.get(normal["measure"], "")
        print_row(f"{name} ({size})", *(_best_of(normal["rungs"], rung) for rung in RUNGS))
    print()
    print_row("set", *QUESTIONS.values(), "at thorough", "s")
    print_row(*["---"] * (len(QUESTIONS) + 3))
    for place in places:
        normal, name = known[place], place.removesuffix(" normal")
        answers = []
        for question in QUESTIONS:
            answer, *lead = normal["answers"][question][:4]
            mean, low, high = (f"{100 * of:.1f}" for of in lead)
            answers.append(f"{answer}, {mean} ({low} to {high})")
        thorough = known.get(f"{name} thorough")
        seconds = [f"{run['seconds']:.0f}" for run in (normal, thorough) if run]
        print_row(name, *answers, _difference(normal, thorough), ", ".join(seconds))


def print_row(*cells):
    """Print one line of a table."""
    print(f"| {' | '.join(cells)} |")


def _best_of(rungs, rung):
    """Return the score of a learner, or of the best learner of a family by mean."""
    found = [(mean, std) for key, (_, family, mean, std) in rungs.items() if rung in (key, family)]
    if not found:
        return ""
    mean, std = max(found)
    return f"{100 * mean:.1f} ± {100 * std:.1f}"


def _difference(normal, thorough):
    """Return in words where the answers of two budgets differ."""
    if thorough is None:
        return "not run"
    differ = [
        f"{question.replace('_', ' ')}: {thorough['answers'][question][0]}"
        for question, answer in normal["answers"].items()
        if thorough["answers"][question][0] != answer[0]
    ]
    rising, close = (", ".join(normal.get(of, ())) or "none" for of in ("rising", "close"))
    said = f" (still rising: {rising}; close calls: {close})" if differ else ""
    return "; ".join(differ) + said or "the same"


def main():
    """Run what is asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", choices=("equal", "planted"))
    parser.add_argument("--runs", type=int)
    parser.add_argument("--stability", action="store_true")
    parser.add_argument("--data")
    parser.add_argument("--out", default="stability.json")
    options = parser.parse_args()
    if options.stability:
        stability(options.data, options.out)
    elif options.what == "equal":
        equal(options.runs or 300)
    else:
        planted(options.runs or 100)


if __name__ == "__main__":
    main()
