"""The examples run as they stand."""

import runpy
from pathlib import Path

import pytest

from metriclearn.deep.losses import LOSSES, REGULARIZERS
from metriclearn.deep.miners import MINERS
from metriclearn.deep.samplers import SAMPLERS

GUIDE = Path(__file__).parents[1] / "docs" / "guide"
EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(script, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(script), run_name="__main__")
    assert capsys.readouterr().out


def test_there_are_examples():
    assert len(EXAMPLES) >= 3


def test_guide_names_every_loss_miner_and_sampler():
    text = (GUIDE / "deep.md").read_text()
    named = [f'`"{name}"`' for name in (*LOSSES, *MINERS, *SAMPLERS)]
    named += [f"`{regularizer.__name__}`" for regularizer in REGULARIZERS.values()]
    assert [name for name in named if name not in text] == []
