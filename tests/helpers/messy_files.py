"""Files as people have them, one trouble each, and what is to be found out about them."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from helpers.spellings import iris_frame


@dataclass(frozen=True)
class MessyFile:
    """A file and what is expected of it.

    Attributes
    ----------
    name : str
        Of the file.
    write : callable
        ``write(path)``
    target : str or None
    findings : tuple of str
        Kinds that must be found.
    says : str
        Words that must be in a note, a finding or the note of a column.
    n_classes : int
    accuracy : (float, float)
        Where the accuracy of neighbors must be: what there is to be learned, and no leak.
    error : str or None
        Words of the error, where it cannot be compared.
    choices : dict
        Further arguments.
    """

    name: str
    write: object
    target: str | None = "target"
    findings: tuple = ()
    says: str = ""
    n_classes: int = 3
    accuracy: tuple = (0.9, 1.0)
    error: str | None = None
    choices: dict = field(default_factory=dict)


def noise(n_rows, n_columns=4, seed=0):
    values = np.random.RandomState(seed).randn(n_rows, n_columns)
    return pd.DataFrame(values, columns=list("abcdefgh")[:n_columns])


def people(n_people=30, n_times=8, spread=0.3, seed=0):
    """Recordings of people, each of one class by chance."""
    rng = np.random.RandomState(seed)
    values = np.repeat(rng.randn(n_people, 8) * 3, n_times, 0)
    values += spread * rng.randn(*values.shape)
    frame = pd.DataFrame(values, columns=list("abcdefgh"))
    frame["person"] = np.repeat([f"P{i:02d}" for i in range(n_people)], n_times)
    frame["target"] = np.repeat(rng.permutation(["ill", "well"] * (n_people // 2)), n_times)
    return frame


def _csv(make, **options):
    return lambda path: make().to_csv(path, index=False, **options)


def _text(make):
    return lambda path: path.write_text(make(iris_frame().to_csv(index=False)))


def _with(**columns):
    def make():
        rng = np.random.RandomState(1)
        return iris_frame().assign(**{name: values(rng) for name, values in columns.items()})

    return make


def _filtered():
    frame = noise(600, 3).assign(target=np.repeat(["a", "b", "c"], 200))
    return frame.drop(index=[7, 300, 301])


def _copies():
    labels = np.random.RandomState(1).choice(["u", "v"], 300)
    return pd.concat([noise(300, 6).assign(target=labels)] * 4)


def _mixed():
    rng = np.random.RandomState(2)
    return noise(120, 2).assign(
        Name=[f"Person {i}" for i in range(120)],
        Sex=rng.choice(["male", "female"], 120),
        Cabin=[f"C{i % 9}" if i % 4 else None for i in range(120)],
        Age=np.where(rng.rand(120) < 0.2, np.nan, 40),
        target=rng.choice([0, 1], 120),
    )


def _shouted():
    labels = iris_frame()["target"]
    forms = (lambda v: v + " ", str.upper, str)
    return iris_frame().assign(target=[forms[i % 3](v) for i, v in enumerate(labels)])


def _grades():
    grades = np.random.RandomState(3).choice([5, 6, 7], 198)
    return noise(200).assign(target=np.r_[grades, 9, 9])


def _prices():
    prices = (np.random.RandomState(4).randn(400) * 1000).round().astype(int)
    return noise(400).assign(target=prices)


def _strings(path):
    frame = iris_frame().convert_dtypes()
    frame.loc[5, "target"] = pd.NA
    frame.to_parquet(path)


def _bytes(path):
    frame = iris_frame()
    X, y = frame.drop(columns="target").to_numpy(), frame["target"].to_numpy().astype("S10")
    np.savez(path, X=X, y=y)


def _dates(rng):
    return pd.date_range("2020-01-01", periods=150)


CHANCE_2, CHANCE_3 = (0.35, 0.65), (0.2, 0.46)

FILES = [
    MessyFile("id.csv", _csv(_with(Id=lambda rng: range(1, 151))), findings=("row_number",)),
    MessyFile(
        "filtered.csv", lambda path: _filtered().to_csv(path), findings=("row_number",),
        accuracy=CHANCE_3,
    ),
    MessyFile(
        "copies.csv", _csv(_copies), findings=("duplicates",), says="900 rows of 1,200",
        n_classes=2, accuracy=CHANCE_2,
    ),
    MessyFile(
        "people.csv", _csv(people), findings=("repeated_measurements",), n_classes=2,
        says="groups='person'", accuracy=(0.0, 1.0),
    ),
    MessyFile(
        "people_grouped.csv", _csv(people), n_classes=2, accuracy=(0.25, 0.75),
        choices={"groups": "person"},
    ),
    MessyFile(
        "people_unnamed.csv", _csv(lambda: people().drop(columns="person")), n_classes=2,
        findings=("repeated_measurements",), accuracy=(0.0, 1.0),
    ),
    MessyFile(
        "rare.csv", _csv(lambda: noise(6000, 6).assign(target=["yes"] * 12 + ["no"] * 5988)),
        findings=("imbalance",), says="no 5,988, yes 12", n_classes=2, accuracy=(0.99, 1.0),
    ),
    MessyFile(
        "when.parquet", lambda path: _with(when=_dates)().to_parquet(path), findings=("time",),
    ),
    MessyFile(
        "when.csv", _csv(_with(when=lambda rng: _dates(rng).strftime("%d/%m/%Y"))),
        findings=("time",), says="format %d/%m/%Y",
    ),
    MessyFile(
        "none.csv", _csv(lambda: iris_frame().replace({"target": {"virginica": "None"}})),
        says="'None' (50 rows) is taken as a class",
    ),
    MessyFile(
        "comma.csv", _text(lambda text: "".join(f"{line},\n" for line in text.split())),
        findings=("empty",),
    ),
    MessyFile(
        "mixed.csv", _csv(_mixed), findings=("row_number",), says="missing", n_classes=2,
        accuracy=CHANCE_2,
    ),
    MessyFile(
        "question.csv",
        _csv(_with(x=lambda rng: np.where(rng.rand(150) < 0.1, "?", "1.5"))), says="written '?'",
    ),
    MessyFile(
        "percent.csv", _csv(_with(x=lambda rng: [f"{v:.1f}%" for v in rng.rand(150)])),
        says="'%' removed",
    ),
    MessyFile(
        "yesno.csv", _csv(_with(x=lambda rng: rng.choice(["Yes", "No"], 150))),
        says="'no' read as 0, 'yes' as 1",
    ),
    MessyFile("decimal.csv", _csv(iris_frame, sep=";", decimal=","), says="decimal commas"),
    MessyFile("semicolon.csv", _csv(iris_frame, sep=";"), says="separated by semicolons"),
    MessyFile("tabs.tsv", _csv(iris_frame, sep="\t"), says="separated by tabs"),
    MessyFile("packed.csv.gz", _csv(iris_frame), says="packed with gzip"),
    MessyFile(
        "cp1252.csv",
        _csv(lambda: iris_frame().rename(columns={"petal_width": "Blütenbreite"}),
             encoding="cp1252"),
        says="read as cp1252",
    ),
    MessyFile("headerless.csv", _csv(iris_frame, header=False), "setosa", says="looks like data"),
    MessyFile("title.csv", _text(lambda text: f"Iris 2020\n{text}"), says="skipped: 'Iris 2020'"),
    MessyFile("blanks.csv", _text(lambda text: text.replace(",", ", ")), says="Blanks after"),
    MessyFile(
        "labels.csv", _csv(_shouted), findings=("similar_class_names",), n_classes=9,
        accuracy=(0.0, 0.6),
    ),
    MessyFile(
        "grades.csv", _csv(_grades), findings=("small_classes",), n_classes=4, accuracy=CHANCE_3,
    ),
    MessyFile(
        "price.csv", _csv(_prices), findings=("amount_target",), n_classes=0, accuracy=(-1.0, 0.5),
    ),
    MessyFile(
        "string.parquet", _strings, findings=("unreadable",), says="has no label (row 5)",
    ),
    MessyFile("bytes.npz", _bytes, None),
]  # fmt: skip
