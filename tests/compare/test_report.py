"""The report: one file that needs no network; and the charts in it."""

import base64
import hashlib
import json
import re

import numpy as np
import pytest
from helpers.comparisons import CHEAP, CLEAR, Broken, Links, made_up, read_page
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from metriclearn import RCA
from metriclearn.compare import ComparisonResult, RankedComparison, compare
from metriclearn.compare._records import Map
from metriclearn.compare._report._lines import curve_chart
from metriclearn.compare._report._matrices import class_key, map_chart
from metriclearn.compare._report._page import _breakable, _unbroken
from metriclearn.compare._report._svg import (
    LETTER,
    NAME_LETTERS,
    _text_box,
    apart,
    place_labels,
    stretch,
)
from metriclearn.compare._roster import _LEARNERS
from metriclearn.compare._verdict._conclusions import Curve, Point


def test_report_is_one_file_that_needs_no_network(compared, tmp_path):
    compared.to_html(tmp_path / "report.html")
    text = read_page(tmp_path / "report.html")
    assert len(text) < 2_000_000
    assert "the machine is on strike" in text
    assert "seed" in text
    for row in compared.rows():
        assert row.name in text
    assert text.count('class="map"') == 2 * len(CHEAP)
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]


def test_report_of_images_shows_pixels(tmp_path):
    rng = np.random.RandomState(0)
    y = np.repeat([0, 1], 10)
    images = rng.rand(20, 5, 4) + y[:, None, None]
    result = compare(images, y, learners=CHEAP, n_folds=2)
    assert result.data.image_shape == (5, 4)
    result.to_html(tmp_path / "report.html")
    assert "weight of each pixel" in read_page(tmp_path / "report.html")


@pytest.mark.parametrize("degree", [1, 2], ids=["as many as pixels", "more than pixels"])
def test_report_of_images_draws_no_embedding_as_pixels(tmp_path, degree):
    """A metric on an embedding says nothing of pixels, even if it has as many dimensions."""
    images = np.random.RandomState(0).rand(20, 5, 4)
    own = make_pipeline(PolynomialFeatures(degree, include_bias=False), RCA())
    result = compare(images, np.repeat([0, 1], 10), learners={"own": own}, n_folds=2)
    result.to_html(tmp_path / "report.html")
    page = read_page(tmp_path / "report.html")
    assert "dimensions of an embedding" in page
    assert "weight of each pixel" not in page


def test_report_of_a_metric_on_an_embedding_names_no_features(tmp_path):
    """Its matrix has more rows than the table has columns."""
    pandas = pytest.importorskip("pandas")
    rng = np.random.RandomState(0)
    frame = pandas.DataFrame(rng.randn(30, 2), columns=["width", "height"])
    own = make_pipeline(PolynomialFeatures(3, include_bias=False), RCA())
    result = compare(frame, np.repeat([0, 1], 15), learners={"own": own}, n_folds=2)
    result.to_html(tmp_path / "report.html")
    assert "learned matrix" in read_page(tmp_path / "report.html")


def test_report_escapes_names(tmp_path):
    pandas = pytest.importorskip("pandas")
    rng = np.random.RandomState(0)
    frame = pandas.DataFrame(rng.randn(20, 2), columns=["<b>bold", "a & b"])
    y = np.repeat(["<i>x", "y & z"], 10)
    result = compare(
        frame, y, learners={"<u>mine": StandardScaler(), "M": "mahalanobis"}, n_folds=2
    )
    result.to_html(tmp_path / "report.html")
    text = read_page(tmp_path / "report.html")
    assert "<b>bold" not in text
    assert "<i>x" not in text
    assert "<u>mine" not in text
    assert "a &amp; b" in text


def _with_hostile_texts(value, text):
    """Put a text into every string of a document that is not looked up by it."""
    if isinstance(value, dict):
        return {key: _with_hostile_texts(part, text) for key, part in value.items()}
    if isinstance(value, list):
        return [_with_hostile_texts(part, text) for part in value]
    kept = {"closed", "few", "tabular", *CHEAP, "Broken"}
    return text if isinstance(value, str) and value not in kept else value


def test_no_text_of_a_file_reaches_the_page_unescaped(compared, tmp_path):
    attack = 'x"><script>alert(7)</script><img src=x onerror=alert(8)>'
    document = json.loads(json.dumps(compared.to_dict()))
    protocols, measures = document["run"]["protocols"], document["run"]["measures"]
    document = _with_hostile_texts(document, attack)
    document["run"] |= {"protocols": protocols, "measures": measures}
    for record in document["records"]:
        record["protocol"] = "closed" if record["n_train"] > 40 else "open"
        record["losses"] = [1.0, 0.5]  # as if networks: their training is drawn
    hostile = ComparisonResult.from_dict(document)
    hostile.to_html(tmp_path / "r.html")
    text = read_page(tmp_path / "r.html")
    assert text.count("alert(7)") > 10
    assert "<script>alert" not in text
    assert "<img src=x" not in text
    assert text.count("<script>") == 1
    RankedComparison((hostile, hostile)).to_html(tmp_path / "ranks.html")
    text = read_page(tmp_path / "ranks.html")
    assert "<script>alert" not in text
    assert "<img src=x" not in text


def test_the_page_allows_its_own_script_alone(compared, tmp_path):
    compared.to_html(tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text()
    script = re.search(r"<script>(.*?)</script>", text, re.S)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    policy = policy.replace("&#39;", "'")
    assert policy.startswith("default-src 'none'; ")
    assert f"script-src 'sha256-{digest}'" in policy
    assert "onclick" not in text


def test_report_where_everything_failed(blobs, tmp_path):
    result = compare(*blobs, learners=[Broken()], n_folds=2)
    result.to_html(tmp_path / "report.html")
    assert "on strike" in read_page(tmp_path / "report.html")
    assert result.sentences() == []


@pytest.mark.parametrize(
    ("deep", "answer"),
    [
        ([0.99, 0.98, 0.99, 0.98, 0.99], "Yes"),
        ([0.92, 0.91, 0.93, 0.91, 0.92], "Not clearly"),
        ([0.90, 0.92, 0.90, 0.92, 0.90], "Not clearly"),
        (CLEAR["b"], "No"),
    ],
)
def test_first_of_all_the_report_answers_whether_deep_is_worth_it(tmp_path, deep, answer):
    made_up({"line": CLEAR["a"], "deep one": deep}).to_html(tmp_path / "report.html")
    text = read_page(tmp_path / "report.html")
    cards = re.findall(r'<div class="what">(.*?)</div>\s*<div class="who">\s*(.*?)\s*<', text)
    cards = [card for card in cards if card[0].startswith("Is a deep")]
    assert cards[0] == ("Is a deep metric worth it over a linear one? · known classes", answer)
    assert "Known classes · k-NN accuracy" in text


def test_scores_that_are_the_same_are_no_lead(tmp_path):
    result = made_up({"line": CLEAR["a"], "deep one": CLEAR["a"]})
    assert any("level with" in sentence for sentence in result.sentences())
    assert "0.0 points" not in " ".join(result.sentences())


@pytest.mark.parametrize(("n_letters", "has_key"), [(6, False), (30, True)])
def test_classes_are_named_on_the_maps_or_in_a_key(n_letters, has_key):
    names = ["a" * n_letters, "b"]
    drawn = Map(np.random.RandomState(0).rand(20, 2), (0, 1) * 10)
    assert (">b</text>" in map_chart(drawn, names)) is not has_key
    assert [name for _, name in class_key(names)] == (names if has_key else [])


def test_no_line_of_the_report_ends_within_a_number_and_its_unit():
    text = "within noise (p = 0.2, p < 0.001). A fit takes 3 s against < 0.01 s, 2 splits"
    assert _unbroken(text).split(" ") == [
        *("within", "noise", "(p\u00a0=\u00a00.2,", "p", "<\u00a00.001).", "A", "fit", "takes"),
        *("3\u00a0s", "against", "<\u00a00.01\u00a0s,", "2", "splits"),
    ]


def test_no_name_of_the_default_learners_is_cut_in_a_chart():
    assert [each.name for each in _LEARNERS if each.default and len(each.name) > NAME_LETTERS] == []


@pytest.mark.parametrize("place", [0, 100, 200])
def test_names_of_classes_stay_within_their_map(place):
    """Also those of a class in a corner: a map's neighbor or the card's edge is not written on."""
    points = np.array([[place, 0], [200 - place, 200], [100, 100]]) / 200
    names = ["a class of 16 le", "b" * 16, "c"]
    chart = map_chart(Map(points, (0, 1, 2)), names)
    written = re.findall(r'class="name" x="([\d.]+)"[^>]*>([^<]*)<', chart)
    assert [name for _, name in written] == names
    for x, name in written:
        assert 3.4 * len(name) - 0.1 <= float(x) <= 200 - 3.4 * len(name) + 0.1


def test_too_many_classes_have_no_key():
    assert class_key([f"a name too long for a map {i}" for i in range(21)]) == []


def test_a_curve_of_one_place_is_a_dot():
    points = tuple(Point(place, 0.5 + place / 100, None, 1) for place in (10, 20))
    line = curve_chart("rows", [10, 20], [Curve("k", "n" * 40, "linear", points)])
    dot = curve_chart("rows", [10], [Curve("k", "n" * 40, "linear", points[:1])])
    assert 'class="curve"' in line
    assert 'class="curve dot"' in dot
    for chart in (line, dot):
        assert f">{'n' * 21}…</text>" in chart
        assert "n" * 40 in chart  # in its tip


def test_splits_of_nearly_one_shift_are_apart():
    places = [557.2, 778.1, 778.9]
    points = tuple(Point(place, 0.9 - i / 10, None, 1) for i, place in enumerate(places))
    chart = curve_chart("shift", places, [Curve("k", "name", "linear", points)])
    drawn = re.search(r'class="curve" d="M([^"]*)"', chart)[1]
    at = [float(point.split()[0]) for point in drawn.split("L")]
    assert np.diff(at).min() == pytest.approx(np.diff(at).max(), abs=0.2)
    assert ">778</text>" in chart
    assert ">779</text>" in chart


def test_only_kinds_that_are_there_are_in_the_legend(compared, tmp_path):
    compared.to_html(tmp_path / "report.html")
    legend = re.search(
        r'<div class="legend">(.*?)</div>', read_page(tmp_path / "report.html"), re.S
    )
    assert re.findall(r"</span>([^<]+)</span>", legend[1]) == [
        "nothing learned from labels",
        "yours",
    ]


def test_plot_draws_each_protocol(compared):
    from matplotlib import pyplot

    figure = compared.plot()
    assert len(figure.axes) == 6
    figure.canvas.draw()
    pyplot.close(figure)


def test_stretched_scale_rises_and_spreads_the_top():
    scores = np.linspace(0, 1, 101)
    places = [stretch(score) for score in scores]
    assert np.all(np.diff(places) > 0)
    assert np.all(np.diff(places, 2) > 0)


@pytest.mark.parametrize("positions", [[50, 50, 50, 50], [0, 1, 2, 80], [97, 98, 99, 100], [5]])
def test_labels_are_kept_apart(positions):
    moved = apart(positions, 10, 100)
    assert np.all(np.diff(moved) >= 10 - 1e-9)
    assert max(moved) <= 100


def test_a_notebook_shows_the_table_and_the_findings_escaped(blobs):
    result = compare(*blobs, learners={"<b>mine": StandardScaler(), "x": Broken()}, n_folds=2)
    shown = result._repr_html_()
    assert "&lt;b&gt;mine" in shown
    assert "<b>mine" not in shown
    assert "the machine is on strike" in shown
    assert "k-NN accuracy %" in shown
    for sentence in result.sentences():
        assert sentence.replace("<", "&lt;").replace(">", "&gt;") in shown
    Links().feed(shown)
    several = RankedComparison((result, result))._repr_html_()
    assert several.count("<caption>data</caption>") == 2


@pytest.mark.parametrize("is_notebook", [False, True])
def test_plot_is_left_to_pyplot_but_in_a_notebook(compared, monkeypatch, is_notebook):
    """There the figure is what a cell ends with: left to pyplot, it would be drawn twice."""
    from matplotlib import pyplot

    monkeypatch.setattr("metriclearn.compare._report._figure.in_notebook", lambda: is_notebook)
    pyplot.close("all")
    figure = compared.plot()
    assert (figure.number in pyplot.get_fignums()) is not is_notebook
    pyplot.close("all")


@pytest.mark.parametrize(
    ("name", "pieces"),
    [
        ("od280/od315_of_diluted_wines", ["od280/", "od315_", "of_", "diluted_", "wines"]),
        ("a <b>", ["a &lt;b&gt;"]),
        ("Arla-Medium-Fat-Milk", ["Arla-Medium-Fat-Milk"]),  # a line may end behind these anyhow
        ("x" * 50, ["x" * 20, "x" * 20, "x" * 10]),
        ("_", ["_"]),
        (7, ["7"]),
    ],
)
def test_a_name_may_be_broken_between_its_words(name, pieces):
    assert _breakable(name).split("<wbr>") == pieces


@pytest.mark.parametrize("seed", range(10))
def test_names_of_points_that_crowd_are_not_on_each_other(seed):
    """Five learners that cost nothing and score alike, in the corner of a chart."""
    names = ["PCA", "Cosine", "Standardized Euclidean", "Euclidean", "Mahalanobis (whitened)"]
    rng = np.random.default_rng(seed)
    points = np.column_stack([rng.uniform(54, 70, 5), rng.uniform(236, 258, 5)]).tolist()
    places = place_labels(points, names, [], (46, 406, 12, 258))
    boxes = [
        _text_box(*place, LETTER * len(name)) for place, name in zip(places, names, strict=True)
    ]
    for i, (left, top, right, bottom) in enumerate(boxes):
        for other in boxes[:i]:
            across = min(right, other[2]) - max(left, other[0])
            assert across <= 0 or min(bottom, other[3]) - max(top, other[1]) <= 2


def test_a_report_without_maps_does_not_speak_of_them(tmp_path):
    rng = np.random.RandomState(0)
    X = rng.randn(60, 3)
    result = compare(X, X[:, 0] + 0.01 * np.arange(60), learners="euclidean,pca", n_folds=3)
    result.to_html(tmp_path / "report.html")
    page = read_page(tmp_path / "report.html")
    assert "k-NN R²" in page
    assert "Maps of held-out embeddings" not in page
    assert "errors in the units of the target" in page
    assert "known classes" not in page
