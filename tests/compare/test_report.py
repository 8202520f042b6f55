"""The report: one file that needs no network; and the charts in it."""

import numpy as np
import pytest
from comparisons import CHEAP, Broken, read_page
from sklearn.preprocessing import StandardScaler

from metriclearn.compare import compare
from metriclearn.compare._report._labels import apart
from metriclearn.compare._report._svg import stretch


def test_report_is_one_file_that_needs_no_network(compared, tmp_path):
    compared.to_html(tmp_path / "report.html")
    text = read_page(tmp_path / "report.html")
    assert len(text) < 2_000_000
    assert "the machine is on strike" in text
    assert "seed" in text
    for row in compared.rows():
        assert row["name"] in text
    assert text.count('class="map"') == 2 * len(CHEAP)
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]


def test_report_of_images_shows_pixels(tmp_path):
    rng = np.random.RandomState(0)
    y = np.repeat([0, 1], 10)
    images = rng.rand(20, 5, 4) + y[:, None, None]
    result = compare(CHEAP, images, y, n_folds=2)
    assert result.data["image_shape"] == [5, 4]
    result.to_html(tmp_path / "report.html")
    assert "weight of each pixel" in read_page(tmp_path / "report.html")


def test_report_escapes_names(tmp_path):
    pandas = pytest.importorskip("pandas")
    rng = np.random.RandomState(0)
    frame = pandas.DataFrame(rng.randn(20, 2), columns=["<b>bold", "a & b"])
    y = np.repeat(["<i>x", "y & z"], 10)
    result = compare({"<u>mine": StandardScaler(), "M": "mahalanobis"}, frame, y, n_folds=2)
    result.to_html(tmp_path / "report.html")
    text = read_page(tmp_path / "report.html")
    assert "<b>bold" not in text
    assert "<i>x" not in text
    assert "<u>mine" not in text
    assert "a &amp; b" in text


def test_report_where_everything_failed(blobs, tmp_path):
    result = compare([Broken()], *blobs, n_folds=2)
    result.to_html(tmp_path / "report.html")
    assert "on strike" in read_page(tmp_path / "report.html")
    assert result.sentences() == []


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
    moved = apart(positions, 10, 0, 100)
    assert np.all(np.diff(moved) >= 10 - 1e-9)
    assert max(moved) <= 100
