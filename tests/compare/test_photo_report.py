"""Photos in the report: what they find by the winner and by the features as they are."""

import base64
import html.parser
import io
import json
import re

import numpy as np
import pytest
from helpers.backbones import Tiny
from helpers.comparisons import read_page
from PIL import Image

from metriclearn.compare import ComparisonResult, compare
from metriclearn.compare._measuring._measure import Measured
from metriclearn.compare._measuring._pictures import MAX_MAP_POINTS, find_rows
from metriclearn.compare._measuring._splits import Split
from metriclearn.compare._report._photos import _chosen, photo_gallery, pictured, places_shown

N_CLASSES, N_PHOTOS = 8, 9


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("p") / "photos"
    rng = np.random.default_rng(0)
    for k in range(N_CLASSES):
        (folder / f"class <{k}>").mkdir(parents=True)
        own = 20 * rng.normal(size=3)
        for i in range(N_PHOTOS):
            pixels = 120 + own + 30 * rng.normal() + 12 * rng.normal(size=(20, 30, 3))
            image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
            image.save(folder / f"class <{k}>" / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def featured(folder):
    return compare(folder, features=Tiny, learners=["pixels", "cosine", "lda", "lmnn"], n_folds=2)


class Photos(html.parser.HTMLParser):
    """Collects the frames of photos, by query."""

    def __init__(self, page):
        super().__init__()
        self.finds = []
        self.feed(re.search("What photos find(.*?)<h2>", page, re.S)[1])

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        classes = (attributes.get("class") or "").split()
        if "find" in classes:
            self.finds.append([])
        if "photo" in classes:
            self.finds[-1].append((classes[1:], attributes["aria-label"]))


@pytest.mark.parametrize("searched", [True, False])
def test_found_photos_are_the_nearest(searched):
    rng = np.random.default_rng(0)
    test, train = np.arange(100, 140), np.arange(60)
    Z, gallery = rng.normal(size=(40, 3)), rng.normal(size=(60, 3))
    Z[1] = Z[0]  # equal photos find each other, never themselves
    measured = Measured(3, {}, Z=Z, gallery=gallery if searched else None)
    split = Split("closed" if searched else "open", 0, train, test)
    found = find_rows(measured, split, np.arange(140), 0)
    others, places = (gallery, train) if searched else (Z, test)
    assert found.queries == tuple(test)
    assert found.classes == found.nearest  # each row is a class of its own
    for row, nearest in enumerate(found.nearest):
        distances = np.linalg.norm(others - Z[row], axis=1)
        if not searched:
            distances[row] = np.inf
        by_place = dict(zip(places.tolist(), distances, strict=True))
        assert [by_place[place] for place in nearest] == sorted(distances)[:5]


def test_few_photos_find_what_there_is():
    split = Split("open", 0, np.arange(4), np.arange(4, 7))
    found = find_rows(Measured(2, {}, Z=np.eye(3, 2)), split, np.zeros(7), 0)
    assert [len(nearest) for nearest in found.nearest] == [2, 2, 2]


def test_many_equal_photos_never_find_themselves():
    split = Split("open", 0, np.arange(3), np.arange(3, 33))
    found = find_rows(Measured(2, {}, Z=np.zeros((30, 2))), split, np.zeros(33), 0)
    for query, nearest in zip(found.queries, found.nearest, strict=True):
        assert query not in nearest[:-1]
        assert len(nearest) == 5


def test_queries_are_bounded_and_the_same_for_every_learner(featured):
    for protocol in featured.protocols:
        records = [pictured(featured, row.key, protocol) for row in featured.rows()]
        queries = {record.found.queries for record in records if record is not None}
        assert len(queries) == 1
        assert len(queries.pop()) <= MAX_MAP_POINTS


def test_chosen_queries_are_the_worst_and_those_of_the_largest_difference():
    share = np.array([1, 0.2, 1, 0.6, 0.4, 1, 0.8, 1, 1, 1, 1, 1, 1, 1])
    other = np.array([1, 0.2, 0, 0.6, 0.4, 1, 0.8, 1, 1, 1, 0.8, 1, 0.6, 1])
    chosen = _chosen(share, other, "LDA")
    assert list(chosen) == ["Some of all", "Worst of LDA", "Where the two differ most"]
    any_of, worst, apart = chosen.values()
    assert len(any_of) == 6
    assert not set(any_of) & set(worst) | set(worst) & set(apart) | set(any_of) & set(apart)
    rest = [i for i in np.argsort(share, kind="stable") if share[i] < 1 and i not in any_of]
    assert list(worst) == rest[:3]
    assert all(share[i] != other[i] for i in apart)
    assert not _chosen(np.ones(9), np.ones(9), "x")["Worst of x"]


def test_the_page_shows_queries_and_what_they_find(featured, folder, tmp_path):
    featured.to_html(tmp_path / "r.html")
    text = read_page(tmp_path / "r.html")
    for words in ("What photos find", "Some of all", "Worst of "):
        assert words in text
    photos = Photos((tmp_path / "r.html").read_text())
    assert 6 * 2 <= len(photos.finds) <= 12 * 2
    for (_, name), *found in photos.finds:
        assert len(found) == 10
        for classes, other in found:
            assert ("right" in classes) == (other == name)
            assert ("wrong" in classes) == (other != name)
    gallery = photo_gallery(featured, "open")
    assert gallery.names[1] == "Cosine"
    assert gallery.names[0] in ("LDA", "LMNN")


def test_photos_of_galleries_are_kept_before_all_others(featured, folder, monkeypatch):
    from metriclearn.compare import _samples
    from metriclearn.compare._sources._load import load_source

    shown = places_shown(featured)
    assert len(shown) > 10
    monkeypatch.setattr(_samples, "MAX_ROWS", len(shown))
    source = load_source(folder, features=Tiny)
    assert set(_samples.sample_rows(source, featured.records, shown).pixels) == shown
    assert shown <= set(featured.samples.pixels)


def test_thumbnails_are_the_photos_and_small(featured, tmp_path):
    featured.to_html(tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text()
    rules = dict(
        re.findall(r"\.p(\d+)\{background-image:url\(data:image/jpeg;base64,(.*?)\)", page)
    )
    used = {name[1:] for name in re.findall(r"photo (p\d+)", page)}
    assert used <= set(rules)
    explored = re.search(r'"pictures": (\[.*?\])', page)[1]
    assert set(rules) == set(map(str, json.loads(explored)))
    assert page.count("data:image/jpeg") == len(rules)  # each once
    pixels = featured.samples.pixels
    for place, data in list(rules.items())[:5]:
        image = Image.open(io.BytesIO(base64.b64decode(data)))
        assert max(image.size) <= 64
        expected = pixels[int(place)].mean(axis=(0, 1))
        np.testing.assert_allclose(np.asarray(image).mean(axis=(0, 1)), expected, atol=8)


def test_the_page_stays_small_with_many_large_photos(tmp_path):
    """No more photos are shown than are on a page, whatever their number."""
    rng = np.random.default_rng(0)
    n = 1000
    names = [f"class {i}" for i in range(40)]
    codes = np.sort(rng.integers(40, size=n))
    folder = tmp_path / "photos"
    for code in np.unique(codes):
        (folder / names[code]).mkdir(parents=True)
    noise = [rng.integers(0, 255, (64, 64, 3), dtype=np.uint8) for _ in range(20)]
    for i, code in enumerate(codes):
        Image.fromarray(noise[code % 20] // 2 + i % 100).save(folder / names[code] / f"{i}.bmp")
    result = compare(folder, features=means, learners=["cosine", "lda"], n_folds=2, tune=False)
    result.to_html(tmp_path / "r.html")
    assert (tmp_path / "r.html").stat().st_size < 4_000_000


def means(pixels):
    return np.concatenate(
        [pixels.mean(axis=(1, 2)), pixels[:, ::32, ::32].mean(axis=3).reshape(len(pixels), -1)],
        axis=1,
    )


def test_results_of_a_file_have_no_photos(featured, tmp_path):
    featured.to_json(tmp_path / "r.json")
    again = ComparisonResult.from_json(tmp_path / "r.json")
    assert again.records == featured.records
    again.to_html(tmp_path / "r.html")
    page = read_page(tmp_path / "r.html")
    assert "What photos find" not in page


@pytest.mark.parametrize("learners", [["cosine"], ["lda", "lmnn"], ["pixels", "cosine"]])
def test_one_side_alone_is_not_shown(folder, learners, tmp_path):
    result = compare(folder, features=Tiny, learners=learners, n_folds=2, tune=False)
    result.to_html(tmp_path / "r.html")
    assert "What photos find" not in (tmp_path / "r.html").read_text()
