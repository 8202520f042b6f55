"""The network that makes the features of photos, trained further, as rows of the comparison."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers.backbones import Tiny
from PIL import Image

import metriclearn
from metriclearn.cli import main
from metriclearn.cli._errors import BadInputError
from metriclearn.cli._outputs import save_winner
from metriclearn.compare import _compare, compare
from metriclearn.compare._learners._learner import Setting
from metriclearn.constraints import Pairs
from metriclearn.images import Features, ImagePaths

SHORT = {"image_size": 24, "batch_size": 16, "max_epochs": 6, "lr": 1e-2, "backbone_lr": 1e-2}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Photos of eight classes: a faint color of its own on a strong one that says nothing."""
    folder = tmp_path_factory.mktemp("p") / "photos"
    rng = np.random.default_rng(0)
    for k in range(8):
        (folder / f"class {k}").mkdir(parents=True)
        own = np.array([np.cos(k * np.pi / 4), np.sin(k * np.pi / 4), 0]) * 25
        for i in range(10):
            light = rng.uniform(60, 190)
            pixels = light + own + rng.normal(0, 12, (24, 24, 3))
            pixels = np.clip(pixels, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"class {k}" / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def tuned(photos):
    return compare(
        photos, features=Tiny, finetune=SHORT, learners=["cosine", "lda"], n_folds=2, tune=False
    )


def test_each_loss_is_a_row(tuned):
    rows = {row.key: row for row in tuned.rows()}
    assert set(rows) == {"cosine", "lda", "finetune_proxy_anchor", "finetune_multi_similarity"}
    assert [row.error for row in rows.values()] == [None] * 4
    assert {rows[key].family for key in rows if key.startswith("finetune")} == {"deep"}
    assert rows["finetune_proxy_anchor"].dimension == 128


def test_training_the_network_finds_what_its_features_hide(tuned):
    rows = {row.key: row.mean("accuracy") for row in tuned.rows()}
    assert rows["finetune_proxy_anchor"] > rows["cosine"] + 0.1


def test_the_first_card_asks_both_questions(tuned):
    answers = {answer.question: answer for answer in tuned.answers("closed")}
    assert list(answers) == ["frozen", "fine_tuning"]
    assert answers["frozen"].against == "Cosine"
    assert answers["fine_tuning"].learner.startswith("Fine-tuned")
    assert answers["fine_tuning"].against == "LDA"
    assert "priced without the network" in answers["fine_tuning"].caveat
    lines = tuned.sentences()
    assert any(line.startswith("Is fine-tuning worth it over a linear map?") for line in lines)


def test_photo_defaults_are_used_and_said(photos):
    result = compare(
        photos,
        features=Tiny,
        finetune={"image_size": 16, "max_epochs": 2},
        learners=["cosine"],
        n_folds=2,
        tune=False,
    )
    (note,) = [note for note in result.data.notes if note.startswith("Fine-tuning with")]
    for text in ("backbone_lr=0.0001", "warmup_epochs=1", "freeze_batch_norm=True", "max_epochs=2"):
        assert text in note
    made = result.make_estimator("finetune_proxy_anchor")[-1]
    assert (made.backbone_lr, made.warmup_epochs, made.freeze_batch_norm) == (1e-4, 1, True)
    assert (made.image_size, made.max_epochs) == (16, 2)


@pytest.mark.slow
def test_settings_and_effort_reach_the_embedder(photos):
    lengths = []
    for effort in ("quick", "normal"):
        result = compare(
            photos,
            features=Tiny,
            finetune={"image_size": 8, "warmup_epochs": 0, "batch_size": 16, "n_components": 4},
            learners=["cosine"],
            effort=effort,
            n_folds=2,
            tune=False,
        )
        lengths.append(result.make_estimator("finetune_proxy_anchor")[-1].max_epochs)
        rows = {row.key: row for row in result.rows()}
        assert rows["finetune_multi_similarity"].dimension == 4
    assert lengths == [60 * 16 // 40, 40]  # forty photos in a training part; never above 40


NAMES = ("finetune_proxy_anchor", "finetune_multi_similarity")


@pytest.mark.parametrize(
    ("learners", "finetune", "keys"),
    [
        (["cosine", NAMES[1]], False, ["cosine", NAMES[1]]),
        (f"{NAMES[0]},cosine", SHORT, [NAMES[0], "cosine"]),
        ([name.replace("_", "-") for name in NAMES], None, [*NAMES]),
        (["cosine"], SHORT, ["cosine", *NAMES]),
    ],
)
def test_who_is_fine_tuned_can_be_named(photos, monkeypatch, learners, finetune, keys):
    ran = []

    def run(plan, workers, store, make_bar):
        ran.append(plan)
        raise KeyboardInterrupt

    monkeypatch.setattr(_compare, "run", run)
    with pytest.raises(KeyboardInterrupt):
        compare(photos, features=Tiny, finetune=finetune, learners=learners)
    (plan,) = ran
    assert [each.key for each in plan.learners] == keys
    rates = {"lr": SHORT["lr"] if finetune else 1e-3}
    for learner in plan.learners:
        if learner.key in NAMES:
            estimator, _ = learner.make(Setting(80, 8, 8, 10))
            assert estimator[-1].get_params().items() >= rates.items()
            assert estimator[-1].module_params["backbone"] is Tiny


def test_at_little_effort_a_network_is_fitted_once(photos):
    quick = {"effort": "quick", "n_folds": 2, "learners": [NAMES[0]]}
    result = compare(photos, features=Tiny, finetune={**SHORT, "max_epochs": 1}, **quick)
    for record in result.records:
        assert record.error is None
        assert (record.tuning, record.validation) == ((), None)
        assert "fitted once, without a trial on validation data" in record.notes


def test_the_network_of_the_caller_stays_as_it_is(photos):
    network = Tiny()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    result = compare(
        photos, features=network, finetune=SHORT, learners=["cosine"], n_folds=2, tune=False
    )
    assert {row.error for row in result.rows()} == {None}
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])


def test_the_winner_is_fitted_on_files(photos, tuned):
    fitted = tuned.fit_best(photos, None, learner="finetune_proxy_anchor")
    images = ImagePaths.from_folder(photos)
    assert fitted.transform(images[:3]).shape == (3, 128)
    linear = tuned.fit_best(photos, None, learner="lda")
    Z = linear.transform(images)
    assert Z.shape[0] == 80
    np.testing.assert_allclose(linear.transform(images[5:7]), Z[5:7], atol=1e-5)


def test_what_is_saved_takes_photos(photos, tmp_path):
    code = main(
        [
            "compare",
            str(photos),
            *("--features", "helpers.backbones:Tiny", "--learners", "cosine,lda"),
            *("--folds", "2", "--tune", "none", "--n-jobs", "1", "--save", str(tmp_path / "model")),
        ]
    )
    assert code == 0
    images = ImagePaths.from_folder(photos)
    again = metriclearn.load(tmp_path / "model")
    assert again.transform(images[:3]).shape[0] == 3


def test_a_fine_tuned_network_is_kept_as_a_graph(photos, tuned, tmp_path, capsys):
    code = main(
        [
            "compare",
            str(photos),
            *("--features", "helpers.backbones:Tiny", "--finetune", "image_size=8,max_epochs=1"),
            *("--learners", "cosine", "--folds", "2", "--tune", "none", "--n-jobs", "1"),
            *("--save", str(tmp_path / "m"), "--save-learner", "finetune_proxy_anchor"),
        ]
    )
    told = capsys.readouterr()
    assert code == 2
    assert "a fine-tuned network cannot be kept as a folder" in told.err
    assert not told.out  # said before any work
    options = SimpleNamespace(save=str(tmp_path / "m"), save_learner="finetune_proxy_anchor")
    with pytest.raises(BadInputError, match="cannot be kept as a folder"):  # where it won
        save_winner(tuned, options, options.save)
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    fitted = tuned.fit_best(photos, None, learner="finetune_proxy_anchor")
    fitted[-1].to_onnx(tmp_path / "tuned.onnx")
    images = ImagePaths.from_folder(photos)
    found = Features(tmp_path / "tuned.onnx", cache=False).transform(images[:7])
    np.testing.assert_allclose(found, fitted.transform(images[:7]), rtol=1e-5, atol=1e-5)


def test_finished_fits_are_kept(photos, tmp_path):
    settings = {"features": Tiny, "learners": ["cosine"], "n_folds": 2, "tune": False}
    first = compare(photos, finetune=SHORT, resume=tmp_path / "r", **settings)
    again = compare(photos, finetune=SHORT, resume=tmp_path / "r", **settings)
    assert again.run.n_resumed == again.run.n_tasks == first.run.n_tasks
    other = compare(photos, finetune={**SHORT, "lr": 1e-3}, resume=tmp_path / "r", **settings)
    assert other.run.n_resumed == other.run.n_tasks // 3  # cosine only


def means(pixels):
    return pixels.mean(axis=(1, 2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"finetune": True}, "name it, as in features='timm/NAME'"),
        ({"features": True, "finetune": True}, "name it, as in features='timm/NAME'"),
        ({"features": means, "finetune": True}, "finetune: .* is no network of torch"),
        ({"features": Tiny, "finetune": {"rate": 1}}, "'rate' is not a setting; there are lr, "),
        ({"features": Tiny, "finetune": {"lr": -1}}, "'lr' parameter"),
        ({"features": Tiny, "finetune": "yes"}, "must be True or a dict"),
        ({"learners": [NAMES[0]]}, "name it, as in features='timm/NAME'"),
        ({"learners": f"lda,{NAMES[0]}", "features": True}, "name it, as in features='timm/NAME'"),
        (
            {"learners": ["finetune_proxy"], "features": Tiny},
            "did you mean 'finetune_proxy_anchor'",
        ),
    ],
)
def test_what_cannot_be_tuned_is_said_before_any_work(photos, arguments, message):
    with pytest.raises(ValueError, match=message):
        compare(photos, n_folds=2, **arguments)


def test_rows_that_are_no_photos_cannot_be_tuned():
    X, y = np.random.default_rng(0).normal(size=(40, 3)), np.arange(40) % 4
    with pytest.raises(ValueError, match="features='timm/NAME'"):
        compare(X, y, features=True, finetune=True)
    with pytest.raises(ValueError, match="features='timm/NAME'"):
        compare(X, y, learners=[NAMES[0]])
    pairs = Pairs(np.array([[0, 1], [2, 3]]), np.array([True, False]))
    with pytest.raises(ValueError, match="constraints take the place of labels; leave finetune"):
        compare(X, constraints=pairs, features=Tiny, learners=[NAMES[0]])


def test_photos_with_amounts_are_not_fine_tuned(photos):
    images = ImagePaths.from_folder(photos)
    with pytest.raises(ValueError, match="labels of data are amounts; give task='classes'"):
        compare(images, np.arange(80.0) / 7, task="amounts", features=Tiny, finetune=SHORT)


def test_the_command(photos, tmp_path, capsys):
    code = main(
        [
            "compare",
            str(photos),
            *("--features", "helpers.backbones:Tiny"),
            *("--finetune", "image_size=16,max_epochs=2,freeze_batch_norm=false"),
            *("--learners", "cosine", "--folds", "2", "--tune", "none", "--n-jobs", "1"),
            *("--report", str(tmp_path / "r.html")),
        ]
    )
    assert code == 0
    text = capsys.readouterr().out
    assert "Fine-tuned, Proxy-Anchor" in text
    page = (tmp_path / "r.html").read_text()
    assert "freeze_batch_norm=False" in page
    assert "Is training worth it over frozen features?" in page
