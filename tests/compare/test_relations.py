"""Leaks that no value of one column says, and honest tables that look a little like them."""

import numpy as np
import pandas as pd
import pytest

from metriclearn.compare import compare
from metriclearn.compare._sources._rows import as_source

N = 240
WORDS = ["leaf", "stem", "root", "petal", "bark"]


def _noise(rng, n_classes=3):
    return pd.DataFrame(rng.randn(N, 4), columns=list("abcd")), rng.randint(0, n_classes, N)


def _flags(y):
    return pd.get_dummies(pd.Series(y), prefix="is").astype(int)


def _encoded(rng, y, form="mean", n_groups=90):
    return pd.Series(y.astype(float)).groupby(rng.randint(0, n_groups, N)).transform(form)


def _of_classes(rng, y, change):
    """Values of a strong feature, changed within each class."""
    return pd.Series(y + rng.randn(N)).groupby(y).transform(change)


def _columns(names, values):
    return dict(zip(names, values.T, strict=True))


def _wrong(rng, y):
    """Labels of which 3 % are drawn anew."""
    return np.where(rng.rand(N) < 0.03, rng.randint(0, 3, N), y)


def _patients(rng, form):
    y = np.repeat(rng.permutation([0, 1] * 15), 8)
    X = pd.DataFrame(rng.randn(N, 4), columns=list("abcd"))
    order = rng.permutation(N)
    codes = [form.format(i // 8 + 1, i % 8, "abcdefgh"[i % 8]) for i in range(N)]
    return X.assign(rec=np.array(codes)[order]), y[order]


# Name to (kind, columns that must be named, columns beside four of noise).
LEAKS = {
    "sum": ("giveaway", "pq", lambda r, y: {"p": (p := r.randint(0, 50, N)), "q": y - p}),
    "difference": ("giveaway", "pq", lambda r, y: {"p": (p := 9 * r.rand(N)), "q": p + y}),
    "rounded": ("giveaway", "pq", lambda r, y: {"p": (p := (9 * r.rand(N)).round(4)), "q": p - y}),
    "three": (
        "giveaway", "pqs",
        lambda r, y: {"p": (p := r.randn(N)), "q": (q := r.randn(N)), "s": y + 2 * p - q},
    ),
    "ratio": ("giveaway", "pq", lambda r, y: {"p": (p := 1 + r.rand(N)), "q": p * (1 + y)}),
    "product": ("giveaway", "pq", lambda r, y: {"p": (p := 1 + r.rand(N)), "q": (1 + y) / p}),
    "gaps": (
        "giveaway", "p",
        lambda r, y: {"p": np.where((y == 1) ^ (r.rand(N) < 0.03), np.nan, r.randn(N))},
    ),
    "days since": (
        "giveaway", "p", lambda r, y: {"p": np.where(y == 1, r.randint(1, 900, N), 0)},
    ),
    "times that": ("giveaway", "p", lambda r, y: {"p": np.where(y == 1, r.randint(1, 9, N), 0)}),
    "gaps of words": (
        "giveaway", "w", lambda r, y: {"w": np.where(y == 1, None, r.choice(["u", "v"], N))},
    ),
    "decimals": (
        "giveaway", "p",
        lambda r, y: {"p": np.where(y == 1, (x := r.randn(N)).round(1), x.round(4))},
    ),
    "whole": (
        "giveaway", "p",
        lambda r, y: {"p": np.where(y == 2, (x := 99 * r.randn(N)).round(), x)},
    ),
    "last digit": ("giveaway", "p", lambda r, y: {"p": r.randint(0, 9999, N) * 10 + y}),
    "even": ("giveaway", "p", lambda r, y: {"p": r.randint(0, 999, N) * 2 + (y == 1)}),
    "word in text": (
        "giveaway", "w",
        lambda r, y: {"w": [" ".join([*r.choice(WORDS, 6), f"of type {c}"]) for c in y]},
    ),
    "target encoding": ("giveaway", "p", lambda r, y: {"p": _encoded(r, y == 1)}),
    "smoothed target encoding": (
        "giveaway", "p",
        lambda r, y: {
            "p": _encoded(r, y == 1, lambda c: (c.sum() + 4 * np.mean(y == 1)) / (len(c) + 4))
        },
    ),
    "log odds of the target": (
        "giveaway", "p",
        lambda r, y: {"p": _encoded(
            r, y == 1, lambda c: np.log((c.sum() + 0.5) / (len(c) - c.sum() + 0.5)), 30
        )},
    ),
    "xor": ("giveaway", "pq", lambda r, y: {"p": (p := r.randint(0, 2, N)), "q": p ^ (y == 1)}),
    "xor of words, some wrong": (
        "giveaway", "pq",
        lambda r, y: {
            "p": np.where(p := r.rand(N) < 0.5, "left", "right"),
            "q": np.where(p ^ (y == 1) ^ (r.rand(N) < 0.02), "up", "down"),
        },
    ),
    "xor of gaps": (
        "giveaway", "pq",
        lambda r, y: {
            "p": np.where(p := r.rand(N) < 0.5, np.nan, r.randn(N)),
            "q": np.where(p ^ (y == 1), np.nan, r.randn(N)),
        },
    ),
    "same sign": (
        "giveaway", "pq",
        lambda r, y: {"p": (p := r.randn(N)), "q": r.rand(N) * p * np.where(y == 1, 1, -1)},
    ),
    "sum modulo": (
        "giveaway", "pq", lambda r, y: {"p": (p := r.randint(0, 3, N)), "q": (y - p) % 3},
    ),
    "difference, some wrong": (
        "giveaway", "pq", lambda r, y: {"p": (p := 9 * r.rand(N)), "q": p + _wrong(r, y)},
    ),
    "ratio, some wrong": (
        "giveaway", "pq", lambda r, y: {"p": (p := 1 + r.rand(N)), "q": p * (1 + _wrong(r, y))},
    ),
    "copy, some wrong": ("giveaway", "p", lambda r, y: {"p": 10 + 5 * _wrong(r, y)}),
    "words, some wrong": (
        "giveaway", "p", lambda r, y: {"p": np.array(["so", "ill", "well"])[_wrong(r, y)]},
    ),
    "flags, some wrong": (
        "giveaway", "pqs", lambda r, y: _columns("pqs", np.eye(3, dtype=int)[_wrong(r, y)]),
    ),
    "groups of classes": (
        "giveaway", "p", lambda r, y: {"p": np.where(y == 1, "alone", "with others")},
    ),
    "one word of one class": (
        "giveaway", "p",
        lambda r, y: {"p": np.where(y == 1, "closed", r.choice(["open", "new", "lost"], N))},
    ),
    "one number of one class": (
        "giveaway", "p", lambda r, y: {"p": np.where(y == 1, 77, r.randint(0, 20, N))},
    ),
    "number of gaps": (
        "giveaway", "pqst",
        lambda r, y: _columns("pqst", np.where(
            r.rand(N, 4).argsort(axis=1) < np.where(y == 1, 3, 1)[:, None], np.nan, r.randn(N, 4)
        )),
    ),
    "last digit of decimals": (
        "giveaway", "p", lambda r, y: {"p": (r.randint(0, 9999, N) * 2 + (y == 1)) / 100},
    ),
    "ranks within classes": ("giveaway", "p", lambda r, y: {"p": _of_classes(r, y, "rank")}),
    "scores within classes": (
        "giveaway", "p",
        lambda r, y: {"p": _of_classes(r, y, lambda c: (c - c.mean()) / c.std())},
    ),
    "gaps filled by classes": (
        "giveaway", "p",
        lambda r, y: {"p": (p := pd.Series(r.randn(N)).where(r.rand(N) < 0.8)).fillna(
            p.groupby(y).transform("mean")
        )},
    ),
    "prediction by name": (
        "giveaway", ["model_pred"],
        lambda r, y: {"model_pred": np.where(r.rand(N) < 0.2, r.randint(0, 3, N), y)},
    ),
    "probabilities by name": (
        "giveaway", [f"prob_{k}" for k in range(3)],
        lambda r, y: _columns(
            [f"prob_{k}" for k in range(3)], np.exp(2 * np.eye(3)[y] + r.randn(N, 3))
        ),
    ),
    "counter of classes": (
        "row_number", "p", lambda r, y: {"p": pd.Series(y).groupby(y).cumcount()},
    ),
    "epoch": ("time", "p", lambda r, y: {"p": 1.58e9 + y * 7e5 + r.randint(0, 18000, N)}),
    "snowflake": (
        "id", "p", lambda r, y: {"p": [str(10**18 + int(v)) for v in r.randint(0, 2**59, N)]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("leak", LEAKS)
@pytest.mark.parametrize("seed", [0, 1])
def test_what_gives_the_label_away_is_found_by_its_kind_and_columns(leak, seed):
    rng = np.random.RandomState(seed)
    kind, names, make = LEAKS[leak]
    X, y = _noise(rng)
    source = as_source(X.assign(**make(rng, y)), y)
    found = [each for each in source.findings if each.kind not in ("imbalance", "time", kind)]
    assert found == []
    (finding,) = [each for each in source.findings if each.kind == kind]
    assert set(finding.columns) == set(names)


@pytest.mark.parametrize("rest", [1, 3])
def test_flags_of_the_other_classes_are_the_label(rest):
    rng = np.random.RandomState(0)
    X, y = _noise(rng, rest + 2)
    flags = _flags(y)
    source = as_source(pd.concat([X, flags.iloc[:, 1:]], axis=1), (y == 0).astype(int))
    (finding,) = [each for each in source.findings if each.kind == "giveaway"]
    assert set(finding.columns) == set(flags.columns[1:])


@pytest.mark.parametrize(
    "form",
    [
        "patient {0}{2}",
        "S{0:02d}_trial{1}",
        "s{0}/r{1}.wav",
        "S{0}t{1}",
        "s{0}.rec{1}",
        "{0} ({1})",
    ],
)
def test_ids_may_name_what_was_measured_repeatedly(form):
    X, y = _patients(np.random.RandomState(0), form)
    source = as_source(X, y)
    assert [each.kind for each in source.findings] == ["id", "repeated_measurements"]
    assert "names 30 things" in source.findings[1].text
    shuffled = as_source(X, np.random.RandomState(1).permutation(y))
    assert [each.kind for each in shuffled.findings] == ["id"]


@pytest.mark.parametrize("how", ["drift", "walk"])
def test_rows_that_follow_one_another_are_a_series(how):
    rng = np.random.RandomState(0)
    X, y = _noise(rng)
    y = np.sort(y)
    if how == "drift":
        X["a"] = 0.05 * X["a"] + 0.01 * np.arange(N)
    else:
        X = np.cumsum(0.4 * X, axis=0)
    (finding,) = [each for each in as_source(X, y).findings if each.kind != "imbalance"]
    assert finding.kind == "repeated_measurements"
    assert finding.columns == (("a",) if how == "drift" else tuple("abcd"))
    rows = rng.permutation(N)
    assert as_source(X.iloc[rows], y[rows]).findings == ()


def test_rows_that_repeat_but_for_a_column_are_one_finding():
    rng = np.random.RandomState(0)
    X = pd.DataFrame(np.tile(rng.randn(60, 5), (4, 1)), columns=list("abcde"))
    X["a"] = rng.randn(N)
    (finding,) = as_source(X, np.tile(rng.randint(0, 2, 60), 4)).findings
    assert finding.kind == "repeated_measurements"
    assert set(finding.columns) == set("bcde")


def test_a_person_is_known_by_two_columns_that_do_not_change():
    rng = np.random.RandomState(1)
    X, y = _patients(rng, "{}.{}")
    person = X.pop("rec").str.split(".").str[0].astype(int) - 1
    X = X.assign(age=rng.randint(20, 60, 30)[person], height=rng.randint(150, 195, 30)[person])
    (finding,) = as_source(X, y).findings
    assert (finding.kind, finding.columns) == ("repeated_measurements", ("height", "age"))
    assert as_source(X, rng.permutation(y)).findings == ()
    assert as_source(X, y, groups=person).findings == ()


@pytest.mark.parametrize("form", ["{0}{1:02d}", "{0}{1}", "{0:03d}{1}"])
def test_numbers_may_begin_with_what_was_measured_repeatedly(form):
    X, y = _patients(np.random.RandomState(0), form)
    X["rec"] = X["rec"].astype(int)
    assert "names 30 things in its first digits" in as_source(X, y).findings[-1].text
    shuffled = as_source(X, np.random.RandomState(1).permutation(y))
    assert all(each.kind == "id" for each in shuffled.findings)
    # Numbers that were given one after the other, class by class.
    X["rec"] = np.argsort(np.argsort(y, kind="stable")) * 3 + 1000
    assert all(each.kind != "repeated_measurements" for each in as_source(X, y).findings)


@pytest.mark.parametrize("n_changed", [2, 3])
def test_copies_of_which_a_few_columns_were_changed_stay_together(n_changed):
    rng = np.random.RandomState(0)
    X = rng.randn(N, 8)
    X[200:] = X[:40]
    for row in X[200:]:
        row[rng.permutation(8)[:n_changed]] += 0.1 * rng.randn(n_changed)
    source = as_source(X, rng.randint(0, 2, N))
    (finding,) = source.findings
    assert finding.text.startswith("40 rows are equal to an earlier row but for some columns")
    np.testing.assert_array_equal(source.groups[200:], source.groups[:40])


def test_finer_classes_that_stand_together_are_said_to_be_possible():
    rng = np.random.RandomState(0)
    X = rng.randn(N, 4)
    X[:, 0] += 4 * rng.permutation(8)[np.arange(N) // 30]
    (finding,) = as_source(X, np.arange(N) // 120).findings
    assert finding.kind == "repeated_measurements"
    assert "as finer classes do" in finding.text


def test_two_of_very_many_columns_may_nearly_tell_a_class():
    rng = np.random.RandomState(0)
    y = rng.randint(0, 2, N)
    X = np.c_[rng.randint(0, 2, N), np.zeros((N, 1)), rng.randn(N, 400)]
    X[:, 1] = X[:, 0].astype(int) ^ y
    assert any(each.kind == "giveaway" for each in as_source(X, y).findings)
    X[:, 1] = X[:, 0].astype(int) ^ y ^ (rng.rand(N) < 0.05)
    assert all(each.kind != "giveaway" for each in as_source(X, y).findings)
    assert any(each.kind == "giveaway" for each in as_source(X[:, :100], y).findings)


@pytest.mark.parametrize("how", ["one column", "a factor", "a constant"])
def test_rows_that_are_equal_but_for_something_stay_together(how):
    rng = np.random.RandomState(0)
    X = rng.randn(N, 6)
    X[200:] = X[:40]
    if how == "one column":
        X[np.arange(200, N), rng.randint(0, 6, 40)] = rng.randn(40)
    else:
        X[200:] = X[200:] * 1.7 if how == "a factor" else X[200:] + 1.7
    rows = rng.permutation(N)
    source = as_source(X[rows], rng.randint(0, 2, N)[rows])
    (finding,) = source.findings
    assert finding.kind == "duplicates"
    assert finding.text == f"40 rows are equal to an earlier row but for {how}."
    places = np.argsort(rows)
    np.testing.assert_array_equal(source.groups[places[200:]], source.groups[places[:40]])
    assert len(set(source.groups)) == 200


def test_near_copies_do_not_make_columns_give_the_label_away():
    rng = np.random.RandomState(0)
    X = np.tile(rng.randn(60, 4), (4, 1)) + 1e-4 * rng.randn(N, 4)
    findings = as_source(X, np.tile(rng.randint(0, 2, 60), 4)).findings
    assert [each.kind for each in findings] == ["repeated_measurements"]


def _honest(rng):
    y = rng.randint(0, 3, N)
    home, away = rng.randint(0, 6, (2, N))
    area, rim = rng.gamma(5, 10, (2, N))
    bits = rng.randint(0, 2, (N, 12))
    males, females = rng.randint(0, 50, (2, N))
    yield {"a": 4 * y + rng.randn(N), "b": 2 * y + rng.randn(N)}, y
    yield {"home": home, "away": away, "elo": rng.randn(N)}, (home > away).astype(int)
    yield {"area": area, "rim": rim}, (area / rim > 1).astype(int)
    yield {"m": males, "f": females, "all": males + females, "x": y + rng.randn(N)}, y
    yield {"x": y + rng.randn(N), "p": np.where(rng.rand(N) < 0.4 * (y == 1), np.nan, 1.5)}, y
    yield {"t": (20 + y + rng.randn(N)).round(1), "h": (50 + 5 * rng.randn(N)).round()}, y
    yield {"p": np.where(y == 1, rng.gamma(2, size=N), 0), "x": rng.randn(N)}, (y == 2).astype(int)
    yield dict(zip("abcdefghijkl", bits.T, strict=True)), bits[:, 0] ^ (rng.rand(N) < 0.2)
    yield dict(zip("abc", rng.dirichlet([2, 3, 4], N).T, strict=True)), y
    yield dict(zip("abcd", rng.randn(4, N), strict=True)), np.sort(y)
    yield dict(zip("abc", np.cumsum(rng.randn(3, N), axis=1), strict=True)), y
    yield {"a": np.sort(rng.randn(N)) + np.sort(y), "b": rng.randn(N)}, np.sort(y)
    yield {"age": np.repeat(rng.randint(20, 70, N // 2), 2), "x": rng.randn(N)}, np.arange(N) % 2
    dose = rng.randint(0, 15, N)
    yield {"dose": dose, "x": rng.randn(N)}, (rng.rand(N) < dose / 15).astype(int)
    yield {"Pclass": np.where(rng.rand(N) < 0.5, rng.randint(0, 3, N), y), "x": rng.randn(N)}, y
    yield {"credit_score": (600 + 40 * y + 60 * rng.randn(N)).round(), "x": rng.randn(N)}, y
    yield {"rain_prob": rng.rand(N).round(2), "x": y + rng.randn(N)}, y
    yield {f"q{i}": np.clip(y + rng.randint(-1, 2, N), 0, 4) for i in range(6)}, y
    yield {f"b{i}": (y == i % 3) ^ (rng.rand(N) < 0.15) for i in range(9)}, y
    yield (
        {
            "in": (t := rng.randn(N).round(1)),
            "out": t - rng.choice([0, 0.1], N),
            "x": y + rng.randn(N),
        },
        y,
    )
    yield {"net": (t := rng.gamma(2, 50, N).round(2)), "gross": (1.19 * t).round(2)}, y
    black = np.where((y == 1) & (rng.rand(N) < 0.95), 0, rng.randint(1, 256, N))
    yield {"pixel": black, "x": rng.randn(N)}, y
    yield {"pixel": black / 255, "x": rng.randn(N)}, y
    yield {"word": rng.choice(["red wine", "white wine", "beer"], N), "x": rng.randn(N)}, y


@pytest.mark.parametrize("seed", range(3))
def test_honest_tables_raise_no_alarm(seed):
    for columns, y in _honest(np.random.RandomState(seed)):
        found = as_source(pd.DataFrame(columns), y).findings
        kinds = {each.kind for each in found} - {"duplicates", "imbalance", "row_number"}
        assert not kinds, (list(columns), found)


AMOUNTS = {
    "unit": ("p", lambda r, y: {"p": 2.54 * y}),
    "logarithm": ("p", lambda r, y: {"p": np.log(y)}),
    "rounded": ("p", lambda r, y: {"p": (2.54 * y).round(3)}),
    "sum": ("pq", lambda r, y: {"p": (p := r.rand(N)), "q": y - p}),
    "weighted": (
        "pqs", lambda r, y: {"p": (p := r.rand(N)), "q": (q := r.rand(N)), "s": y - 2 * p + q},
    ),
    "product": ("pq", lambda r, y: {"p": (p := 1 + r.rand(N)), "q": y / p, "a": 1 + r.rand(N),
                "b": 1 + r.rand(N), "c": 1 + r.rand(N), "d": 1 + r.rand(N)}),
}  # fmt: skip


@pytest.mark.parametrize("leak", AMOUNTS)
def test_what_is_the_amount_in_other_words_is_found(leak):
    rng = np.random.RandomState(0)
    names, make = AMOUNTS[leak]
    X, y = _noise(rng)[0], 1 + rng.gamma(3, size=N)
    (finding,) = [
        each for each in as_source(X.assign(**make(rng, y)), y).findings if each.kind == "giveaway"
    ]
    assert set(finding.columns) == set(names)


@pytest.mark.parametrize("noise", [0.01, 0.1, 1.0])
def test_amounts_that_can_be_told_well_are_no_leak(noise):
    rng = np.random.RandomState(0)
    X, _ = _noise(rng)
    for y in (X["a"] + 2 * X["b"], 5 * X["a"] ** 3, X["a"] * X["b"]):
        y = y + noise * rng.randn(N)
        assert [each.kind for each in as_source(X, y).findings] == ["amount_target"]


def test_a_verdict_on_a_sum_of_columns_says_what_it_rests_on():
    rng = np.random.RandomState(0)
    X, y = _noise(rng, 2)
    p = rng.rand(N)
    told = compare(X.assign(p=p, q=p + y), y, learners="lda,cosine", n_folds=2)
    assert told.sentences()[-1].startswith("All of this rests on columns that give the label away")


@pytest.mark.parametrize("told", [False, True])
def test_a_column_of_one_value_tells_no_class_that_has_nearly_all_rows(told):
    rng = np.random.RandomState(0)
    y = np.repeat([0, 1], [2700, 20])
    flag = y.copy() if told else np.zeros(len(y), int)
    flag[rng.choice(2700, 3, replace=False) if not told else []] = 1
    order = rng.permutation(len(y))
    X = pd.DataFrame(rng.randn(len(y), 3), columns=list("abc")).assign(flag=flag)
    findings = as_source(X.iloc[order].reset_index(drop=True), y[order]).findings
    assert told == any(f.kind == "giveaway" and "flag" in f.columns for f in findings)


@pytest.mark.parametrize("name", ["visit", "run_no", "Replicate", "time point"])
def test_what_counts_measurements_names_no_things(name):
    X, y = _noise(np.random.RandomState(0), 2)
    sizes = np.resize([8, 7, 9], 30)[: N // 8 - 1]
    counted = np.concatenate([np.arange(1, size + 1) for size in [*sizes, N - sizes.sum()]])
    (finding,) = as_source(X.assign(**{name: counted}), y).findings
    assert (finding.kind, finding.columns) == ("repeated_measurements", (name,))
    assert f"counts from 1 on {len(sizes) + 1} times" in finding.text
    assert name not in finding.action
    level = X.assign(level=np.resize([1, 2, 3], N))  # of a planned experiment
    assert as_source(level, y).findings == ()
