"""A comparison in a notebook, run as nbconvert runs it: progress, result, estimator."""

import pytest

nbformat = pytest.importorskip("nbformat")
preprocessors = pytest.importorskip("nbconvert.preprocessors")
pytest.importorskip("ipykernel")

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

CELLS = [
    "from sklearn.datasets import load_wine\n"
    "from metriclearn.compare import compare\n"
    "X, y = load_wine(return_X_y=True, as_frame=True)\n"
    "result = compare(X, y, learners='standardized,lda', n_folds=2, n_jobs=1, verbose=1)",
    "result",
    "result.fit_best(X, y)",
    "result.plot()",
]


def test_notebook_shows_progress_result_estimator_and_one_picture(tmp_path):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in CELLS])
    runner = preprocessors.ExecutePreprocessor(timeout=300, kernel_name="python3")
    runner.preprocess(notebook, {"metadata": {"path": str(tmp_path)}})
    progress, result, estimator, picture = (cell.outputs for cell in notebook.cells)
    [line] = progress  # changed in place, not printed again
    assert line["data"]["text/plain"].startswith("compare: 4 of 4")
    assert "<progress" in line["data"]["text/html"]
    [shown] = result
    assert "<th" in shown["data"]["text/html"]
    assert "LDA" in shown["data"]["text/html"]
    [fitted] = estimator
    assert "sk-estimator" in fitted["data"]["text/html"]
    assert sum("image/png" in output.get("data", {}) for output in picture) == 1
    assert not any(
        output["output_type"] == "error" for cell in notebook.cells for output in cell.outputs
    )
