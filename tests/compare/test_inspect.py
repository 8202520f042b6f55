"""What is found out about data: every kind where it is, and nothing where nothing is."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import (
    load_breast_cancer,
    load_digits,
    load_iris,
    load_wine,
    make_blobs,
    make_classification,
    make_moons,
)

from metriclearn.compare._inspect import KINDS, inspect
from metriclearn.compare._inspect._giveaways import label_rates
from metriclearn.compare._inspect._inspect import _MANY, MAX_ALIKE
from metriclearn.compare._inspect._rows import find_equal_rows
from metriclearn.compare._inspect._view import joined_groups

N_ROWS = 120
RNG = np.random.RandomState(0)
NOISE = pd.DataFrame(RNG.randn(N_ROWS, 4), columns=list("abcd"))
LABELS = np.repeat(["u", "v", "w"], N_ROWS // 3)
NUMBERS = np.arange(N_ROWS)
SHUFFLED = RNG.permutation(N_ROWS)


def kinds(looked):
    return [finding.kind for finding in looked.findings]


def found(frame, y=LABELS, **arguments):
    return [(f.kind, f.columns) for f in inspect(frame, y, **arguments).findings]


@pytest.mark.parametrize(
    ("load", "expected"),
    [
        (load_iris, [("duplicates", ())]),
        (load_wine, []),
        (load_breast_cancer, []),
        (load_digits, [("constant", (name,)) for name in ("x0", "x32", "x39")]),
    ],
)
def test_real_tables_raise_no_false_alarm(load, expected):
    X, y = load(return_X_y=True)
    assert found(X, y) == expected
    assert inspect(X, y).left_out == ()
    order = np.random.RandomState(0).permutation(len(X))
    assert found(X[order], y[order]) == expected


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(
    ("n_rows", "n_columns", "n_classes"), [(60, 3, 2), (200, 8, 4), (40, 500, 2), (1000, 5, 10)]
)
def test_noise_raises_no_alarm(n_rows, n_columns, n_classes, seed):
    rng = np.random.RandomState(seed)
    X, y = rng.randn(n_rows, n_columns), np.arange(n_rows) % n_classes
    expected = [("wide", ())] if n_columns > n_rows else []
    assert found(X, y) == expected
    assert found(X, np.sort(y)) == expected


@pytest.mark.parametrize(
    "features",
    [
        lambda rng, n: rng.poisson(3, (n, 4)),
        lambda rng, n: rng.randint(0, 5, (n, 6)),
        lambda rng, n: rng.exponential(size=(n, 4)).round(2),
        lambda rng, n: np.c_[rng.randint(1, 90, n), rng.randn(n, 2), rng.randint(0, 2, n)],
        lambda rng, n: rng.randint(0, 20000, (n, 3)) * 50,
    ],
    ids=["counts", "grades", "amounts", "ages", "prices"],
)
@pytest.mark.parametrize("seed", range(5))
def test_columns_of_whole_numbers_are_no_ids(features, seed):
    rng = np.random.RandomState(seed)
    X = features(rng, 200).astype(float)
    looked = inspect(X, rng.choice(["u", "v"], 200))
    assert set(kinds(looked)) <= {"duplicates"}
    assert looked.left_out == ()


def uuids(n):
    rng = np.random.RandomState(1)
    return ["".join(rng.choice(list("0123456789abcdef"), 12)) for _ in range(n)]


times = pd.date_range("2020-01-01", periods=N_ROWS, freq="D")
seconds = 1577836800 + 86400 * NUMBERS
# Column by what it is: its kind, whether it is left out, its name and values.
COLUMNS = {
    "numbers from 0": ("row_number", True, "z", NUMBERS),
    "numbers from 1": ("row_number", True, "Id", NUMBERS + 1),
    "numbers downwards": ("row_number", True, "z", -NUMBERS),
    "numbers with gaps": ("row_number", True, "Unnamed: 0", NUMBERS * 3 + NUMBERS % 3),
    "numbers as floats": ("row_number", True, "z", NUMBERS / 7),
    "an index, shuffled": ("row_number", True, "index", SHUFFLED),
    "an index, joined": ("row_number", True, "Unnamed: 0", NUMBERS % 40),
    "an index, filtered and shuffled": ("row_number", True, "Unnamed: 0", SHUFFLED * 5 + 1),
    "R's index": ("row_number", True, "X", SHUFFLED + 1),
    "names in order": ("row_number", True, "z", [f"P{i:03d}" for i in NUMBERS]),
    "names in order, unpadded": ("row_number", True, "name", [f"Person {i}" for i in NUMBERS]),
    "rows sorted by it": ("row_number", True, "z", np.sort(RNG.randn(N_ROWS))),
    "rows sorted by it, in steps": ("row_number", False, "z", NUMBERS // 7),
    "seconds with fractions": ("time", True, "z", 1.6e9 + NUMBERS * 61.5 + NUMBERS % 7),
    "one class by one of two values": ("giveaway", False, "z", np.where(LABELS == "u", 3.0, 1.0)),
    "one class by its gaps": (
        "giveaway", False, "z", np.where(LABELS == "u", np.nan, NUMBERS * 0.37 % 1),
    ),
    "numbers shuffled": ("id", True, "z", SHUFFLED),
    "numbers shuffled, from 1000": ("id", True, "z", SHUFFLED + 1000),
    "numbers by name": ("id", True, "patient_id", RNG.permutation(10**7)[:N_ROWS]),
    "an id in camels": ("id", True, "passengerID", RNG.permutation(10**7)[:N_ROWS]),
    "large numbers": ("id", False, "z", RNG.permutation(10**7)[:N_ROWS] + 10**7),
    "uuids": ("id", True, "z", uuids(N_ROWS)),
    "names shuffled": ("id", True, "z", [f"P{i:03d}" for i in SHUFFLED]),
    "e-mails": ("id", True, "z", [f"{uuid}@x.org" for uuid in uuids(N_ROWS)]),
    "nearly all different": ("id", True, "z", [*uuids(N_ROWS - 2), "same", "same"]),
    "dates": ("time", True, "z", times),
    "dates downwards": ("time", True, "z", times[::-1]),
    "dates with ties": ("time", True, "z", times[NUMBERS // 3]),
    "dates by class, shuffled": (
        "time", True, "z", times[np.concatenate([p + RNG.permutation(40) for p in (0, 40, 80)])],
    ),
    "dates of no use": ("time", False, "z", times[SHUFFLED]),
    "seconds since 1970": ("time", True, "z", seconds),
    "milliseconds since 1970": ("time", True, "z", seconds * 1000),
    "seconds by name": ("time", False, "created_at", 1577836800 + 86400 * SHUFFLED),
    "one value": ("constant", False, "z", np.full(N_ROWS, 3.5)),
    "one word": ("constant", False, "z", ["same"] * N_ROWS),
    "no value": ("empty", True, "z", np.full(N_ROWS, np.nan)),
    "no word": ("empty", True, "z", np.full(N_ROWS, None)),
    "the label's code": ("giveaway", False, "z", np.repeat([2.0, 0.0, 1.0], 40)),
    "the label in other words": ("giveaway", False, "z", np.repeat(["x", "y", "z"], 40)),
    "the label and noise": ("giveaway", False, "z", np.repeat([0.0, 5, 10], 40) + RNG.rand(N_ROWS)),
    "a finer label": (
        "giveaway", False, "z",
        np.repeat(["a", "b", "c", "d", "e", "f"], 20),
    ),
    "gaps that tell": (
        "giveaway", False, "z",
        np.where(LABELS == "u", np.nan, np.where(LABELS == "v", 0.0, 9.0)),
    ),
    "persons": ("repeated_measurements", False, "z", np.repeat([f"Q{i}" for i in range(30)], 4)),
    "persons as numbers": (
        "repeated_measurements", False, "z", np.random.RandomState(3).permutation(30)[NUMBERS // 4],
    ),
    "persons by name": ("repeated_measurements", False, "subject", NUMBERS % 12),
}  # fmt: skip


@pytest.mark.parametrize("case", COLUMNS)
def test_columns_that_are_no_features(case):
    kind, left_out, name, values = COLUMNS[case]
    frame = NOISE.assign(**{name: values})
    looked = inspect(frame, LABELS)
    assert [(f.kind, f.columns) for f in looked.findings] == [(kind, (name,))]
    assert looked.left_out == ((name,) if left_out else ())
    action = looked.findings[0].action
    assert ("Left out" in action) == left_out
    assert name in looked.findings[0].text
    if left_out:
        kept = inspect(frame, LABELS, keep=[name])
        assert kept.left_out == ()
        assert kept.findings[0].action == "Kept, as asked."


@pytest.mark.parametrize("kind", sorted(set(_MANY) - {"unreadable"}))  # of cells: test_columns
def test_many_columns_of_one_kind_are_one_finding(kind):
    name, values = next((n, v) for each, out, n, v in COLUMNS.values() if each == kind)
    numbers = range(MAX_ALIKE + 1)
    frame = NOISE.assign(**{f"{name} {number}": values for number in numbers})
    (finding,) = inspect(frame, LABELS).findings
    assert (finding.kind, len(finding.columns)) == (kind, len(numbers))


def test_rows_sorted_by_a_column_that_tells_little_keep_it():
    X = np.column_stack([NOISE, np.sort(NOISE.to_numpy()[:, 0])])
    looked = inspect(X, np.random.RandomState(0).permutation(LABELS))
    assert (kinds(looked), looked.left_out) == (["row_number"], ())


def test_one_class_told_by_two_values_of_few_rows_is_chance():
    y = np.r_[np.repeat(["u", "v"], 58), ["w"] * 4]
    X = np.column_stack([NOISE, y == "w"])
    assert "giveaway" in kinds(inspect(X, y))
    many = np.column_stack([NOISE, y == "w", np.random.RandomState(0).randn(120, 2000)])
    assert "giveaway" not in kinds(inspect(many, y))


def test_many_columns_of_a_kind_are_one_finding():
    frame = pd.DataFrame({f"c{i}": np.ones(N_ROWS) for i in range(9)}).join(NOISE)
    (finding,) = inspect(frame, LABELS).findings
    assert finding.columns == tuple(f"c{i}" for i in range(9))
    assert "9 columns have the same value" in finding.text
    copies = pd.DataFrame({f"t{i}": np.repeat([0.0, 1, 2], 40) for i in range(4)}).join(NOISE)
    (finding,) = inspect(copies, LABELS).findings
    assert finding.kind == "giveaway"
    assert finding.columns == ("t0", "t1", "t2", "t3")


def test_prose_is_no_id():
    words = np.array(
        ["the", "a", "small", "large", "dog", "cat", "runs", "sleeps", "fast", "slowly", "today"]
    )
    text = [" ".join(RNG.choice(words, 6)) for _ in range(N_ROWS)]
    assert len(set(text)) == N_ROWS
    assert found(NOISE.assign(text=text)) == []


@pytest.mark.parametrize("jitter", [0, 1e-12, 1e-9])
@pytest.mark.parametrize("order", ["together", "apart", "shuffled"])
def test_equal_rows_are_counted_and_grouped(order, jitter):
    X, y = RNG.randn(50, 3), np.arange(50) % 2
    rows = {"together": np.repeat(np.arange(50), 3), "apart": np.tile(np.arange(50), 3)}
    rows = rows.get(order, np.random.RandomState(0).permutation(rows["apart"]))
    copies = X[rows] + jitter * np.random.RandomState(1).randn(150, 3)
    looked = inspect(copies, y[rows])
    (finding,) = looked.findings
    assert finding.kind == "duplicates"
    assert "100 rows of 150 are equal to an earlier row (50 distinct rows" in finding.text
    assert ("differ from it by rounding" in finding.text) == (jitter > 0)
    assert "equal rows have equal labels" in finding.text
    same = looked.equal[:, None] == looked.equal
    np.testing.assert_array_equal(same, rows[:, None] == rows)


def test_equal_rows_with_different_labels_are_said():
    frame = pd.concat([NOISE[:40]] * 2, ignore_index=True)
    y = np.r_[np.arange(40) % 2, np.arange(40) % 2]
    y[:10] = 1 - y[:10]
    (finding,) = inspect(frame, y).findings
    assert "labels agree in 30 groups of equal rows and differ in 10" in finding.text
    assert finding.rows == tuple(range(40, 60))


def test_copies_are_found_behind_an_id_and_gaps_and_words():
    frame = NOISE.assign(word=RNG.choice(["x", "y", None], N_ROWS))
    frame.loc[::7, "a"] = np.nan
    frame = pd.concat([frame] * 2, ignore_index=True).assign(Id=np.arange(240))
    looked = inspect(frame, np.r_[LABELS, LABELS])
    assert kinds(looked) == ["row_number", "duplicates"]
    np.testing.assert_array_equal(looked.equal, np.r_[NUMBERS, NUMBERS])


def test_rows_that_differ_are_not_equal():
    values = RNG.randint(0, 3, (500, 5)).astype(float)
    groups, n_near = find_equal_rows(values)
    expected = np.unique(values, axis=0, return_inverse=True)[1].reshape(-1)
    assert n_near == 0
    same = groups[:, None] == groups
    np.testing.assert_array_equal(same, expected[:, None] == expected)


def people(n_people, n_times, spread, order="together", seed=0):
    rng = np.random.RandomState(seed)
    X = np.repeat(rng.randn(n_people, 10) * 3, n_times, 0)
    X += spread * rng.randn(*X.shape)
    y = np.repeat(rng.permutation(np.arange(n_people) % 2), n_times)
    rows = np.arange(len(X)) if order == "together" else rng.permutation(len(X))
    return X[rows], y[rows]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("n_people", "n_times", "spread", "order"),
    [
        (30, 8, 0.3, "together"),
        (30, 8, 1.0, "together"),
        (20, 30, 0.5, "together"),
        (40, 2, 0.3, "together"),
        (60, 3, 0.5, "together"),
        (30, 8, 0.3, "shuffled"),
        (40, 4, 0.3, "shuffled"),
        (40, 2, 0.2, "shuffled"),
        (40, 6, 0.8, "shuffled"),
        (60, 4, 1.0, "shuffled"),
        (30, 8, 1.0, "shuffled"),
        (100, 6, 1.0, "shuffled"),
    ],
)
def test_repeated_measurements_are_suspected(n_people, n_times, spread, order, seed):
    X, y = people(n_people, n_times, spread, order, seed)
    looked = inspect(X, y)
    assert kinds(looked) == ["repeated_measurements"]
    assert "groups=" in looked.findings[0].action
    assert kinds(inspect(X, y, groups=np.arange(len(X)))) == []


@pytest.mark.parametrize("seed", range(2))
def test_classes_of_many_parts_are_no_repeated_measurements(seed):
    rng = np.random.RandomState(seed)
    tables = [
        make_moons(300, noise=0.1, random_state=seed),
        make_blobs(300, 4, centers=9, random_state=seed),
        make_classification(300, 8, n_informative=5, n_classes=3, class_sep=2, random_state=seed),
        (cells := rng.rand(900, 2), np.floor(4 * cells).sum(axis=1) % 2),
        (angles := 12 * rng.rand(300, 1), np.floor(angles[:, 0]) % 2),
    ]
    for X, y in tables:
        for labels in (y, y % 2):
            assert "repeated_measurements" not in kinds(inspect(X, labels))


@pytest.mark.parametrize("seed", range(5))
def test_tight_classes_are_no_repeated_measurements(seed):
    rng = np.random.RandomState(seed)
    y = np.repeat(np.arange(10), 12)
    X = 8 * rng.randn(10, 6)[y] + rng.randn(120, 6)
    assert "repeated_measurements" not in kinds(inspect(X, y))
    order = rng.permutation(120)
    assert "repeated_measurements" not in kinds(inspect(X[order], y[order]))


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        (np.where(NUMBERS < 12, "yes", "no"), "imbalance"),
        (np.r_[np.repeat(["u", "v"], 59), ["w", "w"]], "small_classes"),
        (np.round(RNG.randn(N_ROWS) * 1000), "amount_target"),
        (RNG.rand(N_ROWS), "amount_target"),
        (np.arange(N_ROWS) // 2 * 10 + 5, "amount_target"),
        (np.char.add(LABELS, np.array(["", " "])[NUMBERS % 2]), "similar_class_names"),
        (np.where(NUMBERS % 2, LABELS, np.char.upper(LABELS)), "similar_class_names"),
        (np.char.add(LABELS, np.array(["", "\u00a0"])[NUMBERS % 2]), "similar_class_names"),
        (np.where(NUMBERS % 2, "\u00fc", "u\u0308"), "similar_class_names"),
        (np.char.add(np.array(["a_", "a-"])[NUMBERS % 2], LABELS), "similar_class_names"),
        (np.char.add(LABELS, np.array(["", " [1]"])[NUMBERS % 2]), "similar_class_names"),
        (np.where(NUMBERS % 2, "Café", "CAFE"), "similar_class_names"),
        (np.where(NUMBERS < 60, "2", np.where(NUMBERS % 2, "1", "1.0")), "similar_class_names"),
    ],
)
def test_labels_that_are_remarkable(labels, kind):
    looked = inspect(NOISE, labels, target="t")
    assert kinds(looked) == [kind]
    assert looked.findings[0].columns == ("t",)


@pytest.mark.parametrize(
    "labels",
    [
        NUMBERS % 10,
        NUMBERS % 24,
        NUMBERS // 3,
        RNG.randint(1, 6, N_ROWS) / 2,
        np.array([f"class {i}" for i in NUMBERS // 3]),
        np.array([f"{i // 40 - 1}" for i in NUMBERS]),
        NUMBERS % 2 == 0,
    ],
    ids=["digits", "letters", "threes", "halves", "names", "signs", "bools"],
)
def test_labels_that_are_not(labels):
    assert set(kinds(inspect(NOISE, labels, min_rows=3))) <= {"imbalance"}


def test_small_classes_are_no_queries():
    y = np.r_[np.repeat(["u", "v"], 59), ["w", "w"]]
    looked = inspect(NOISE, y)
    np.testing.assert_array_equal(looked.queries, y != "w")
    assert looked.findings[0].rows == (118, 119)
    assert inspect(NOISE, y, min_rows=2).queries.all()


def test_findings_are_in_order_and_of_known_kinds():
    y = np.r_[np.repeat(["u", "v "], 57), np.repeat(["v"], 4), ["w"] * 2]
    frame = NOISE.assign(n=NUMBERS, e=np.nan, c=1.0, t=times[SHUFFLED])
    listed = kinds(inspect(frame, y))
    assert listed == sorted(listed, key=KINDS.index)
    assert {"row_number", "empty", "constant", "time", "similar_class_names"} <= set(listed)


def test_the_rate_of_a_column_is_what_one_neighbor_scores():
    from sklearn.model_selection import LeaveOneOut, cross_val_predict
    from sklearn.neighbors import KNeighborsClassifier

    X, y = load_iris(return_X_y=True)
    X = X + 1e-3 * np.random.RandomState(0).rand(*X.shape)  # without ties
    rates = label_rates(X, y)
    for j in range(4):
        guessed = cross_val_predict(KNeighborsClassifier(1), X[:, [j]], y, cv=LeaveOneOut())
        recalls = [np.mean(guessed[y == c] == c) for c in range(3)]
        assert rates[j] == pytest.approx(np.mean(recalls))


def test_a_constant_column_tells_nothing_however_rows_are_sorted():
    y = np.repeat([0, 1], 200)
    assert label_rates(np.ones((400, 1)), y)[0] == pytest.approx(0.5, abs=0.1)


def test_groupings_are_joined():
    assert joined_groups(None, None) is None
    joined = joined_groups([0, 0, 1, 1, 2], None, ["a", "b", "b", "c", "d"])
    assert len(set(joined[:4])) == 1
    assert joined[4] != joined[0]


def test_wide_tables_and_many_rows_are_looked_at_whole():
    rng = np.random.RandomState(0)
    wide = rng.randn(60, 3000)
    wide[:, 2999] = np.arange(60)
    looked = inspect(wide, np.arange(60) % 2)
    assert looked.left_out == ("x2999",)
    assert kinds(looked) == ["row_number", "wide"]
    long = rng.randn(20000, 5)
    long[19999] = long[0]
    assert kinds(inspect(long, np.arange(20000) % 3)) == ["duplicates"]
