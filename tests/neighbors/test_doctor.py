"""What slows search is found, named with a remedy, and told by the exit status."""

import sys

import pytest

from metriclearn import cli
from metriclearn.neighbors import Finding, _doctor, diagnose


def test_findings_that_are_not_well_have_a_remedy():
    pytest.importorskip("faiss")
    findings = diagnose()
    assert [finding.name for finding in findings] == [
        "matrix products",
        "threads",
        "faiss kernels",
        "faiss threshold",
    ]
    for finding in findings:
        assert finding.message
        assert finding.ok or finding.remedy


def _pool(where, kernels):
    return {
        "user_api": "blas",
        "internal_api": "openblas",
        "version": "0.3.15",
        "filepath": f"/site-packages/{where}.libs/libopenblas.so",
        "architecture": kernels,
        "num_threads": 1,
    }


def test_old_kernels_of_faiss_are_named(monkeypatch):
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    pools = [_pool("faiss_cpu", "Prescott"), _pool("numpy", "SkylakeX")]
    monkeypatch.setattr(_doctor, "threadpool_info", lambda: pools)
    finding = _doctor._faiss_kernels()
    assert not finding.ok
    assert "Prescott" in finding.message
    assert "OPENBLAS_CORETYPE before Python starts: SkylakeX" in finding.remedy
    pools[1]["architecture"] = "Prescott"
    assert "AVX-512" in _doctor._faiss_kernels().remedy
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Prescott")
    assert _doctor._faiss_kernels().remedy == "unset OPENBLAS_CORETYPE"
    pools[0]["architecture"] = "Haswell"
    assert _doctor._faiss_kernels().ok
    monkeypatch.setattr(_doctor, "threadpool_info", list)
    assert _doctor._faiss_kernels().ok


@pytest.mark.parametrize(
    ("kernels", "gflops", "chosen", "remedy"),
    [
        ("Haswell", 100.0, False, ""),
        ("Haswell", 5.0, False, "reinstall numpy"),
        ("Prescott", 40.0, False, "reinstall numpy"),
        ("Prescott", 40.0, True, "unset OPENBLAS_CORETYPE"),
    ],
)
def test_slow_matrix_products_are_named(monkeypatch, kernels, gflops, chosen, remedy):
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    if chosen:
        monkeypatch.setenv("OPENBLAS_CORETYPE", kernels)
    monkeypatch.setattr(_doctor, "threadpool_info", lambda: [_pool("numpy", kernels)])
    monkeypatch.setattr(_doctor, "_gflops", lambda: [gflops, gflops / 2])
    finding = _doctor._matrix_products()
    assert finding.ok == (not remedy)
    assert remedy in finding.remedy
    assert f"{gflops:.0f} GFLOP/s a thread, with {kernels} kernels" in finding.message


def _processors(monkeypatch, available, used):
    pool = {**_pool("numpy", "Haswell"), "num_threads": used}
    monkeypatch.setattr(
        _doctor.os, "sched_getaffinity", lambda pid: set(range(available)), raising=False
    )
    monkeypatch.setattr(_doctor, "threadpool_info", lambda: [pool])


def test_idle_processors_are_named(monkeypatch):
    _processors(monkeypatch, 2, 1)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert "unset OMP_NUM_THREADS" in _doctor._threads().remedy
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    assert _doctor._threads().remedy == "raise it with threadpoolctl"


@pytest.mark.parametrize(("alone", "together", "ok"), [(50, 95, True), (50, 7, False)])
def test_threads_that_wait_for_each_other_are_named(monkeypatch, alone, together, ok):
    _processors(monkeypatch, 2, 2)
    speeds = iter([[alone], [together]])
    monkeypatch.setattr(_doctor, "_gflops", lambda: next(speeds))
    finding = _doctor._threads()
    assert finding.ok == ok
    assert ("together do 7 GFLOP/s where one does 50" in finding.message) == (not ok)


def test_without_faiss_it_says_what_needs_it(monkeypatch):
    monkeypatch.setattr(_doctor, "find_spec", lambda name: None)
    finding = diagnose()[-1]
    assert finding.ok
    assert finding.remedy == "pip install 'metriclearn[faiss]'"


# --- the command --------------------------------------------------------------------------

WELL = Finding("threads", True, "all of 2 [processors]")
SLOW = Finding("faiss kernels", False, "old kernels", "set OPENBLAS_CORETYPE")


@pytest.mark.parametrize(
    ("findings", "status", "last"),
    [
        ([WELL], 0, "Nothing slows search down"),
        ([WELL, SLOW], 1, "1 of 2 slow search down; the remedies are named"),
    ],
)
def test_the_command_prints_what_was_found(monkeypatch, capsys, findings, status, last):
    monkeypatch.setattr(_doctor, "diagnose", lambda: findings)
    assert cli.main(["doctor"]) == status
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == last
    for finding in findings:
        (row,) = [line for line in lines if finding.name in line]
        assert row.split()[0] == ("ok" if finding.ok else "slow")
        assert finding.message in row
        below = lines[lines.index(row) + 1]
        assert (f"Remedy: {finding.remedy}" in below) == (not finding.ok)


def test_the_command_looks_at_this_machine(capsys):
    pytest.importorskip("faiss")
    status = cli.main(["doctor"])
    printed = capsys.readouterr().out
    assert status == (0 if "Nothing slows search down" in printed else 1)
    for name in ("matrix products", "threads", "faiss kernels", "faiss threshold"):
        assert name in printed


def test_without_rich_it_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr(_doctor, "diagnose", lambda: [WELL])
    for name in [name for name in sys.modules if name.partition(".")[0] == "rich"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "rich", None)
    assert cli.main(["doctor"]) == 2
    error = capsys.readouterr().err
    assert error == (
        "metriclearn: error: rich is not installed; it comes with: pip install 'metriclearn[cli]'\n"
    )
