"""The benchmarks run from end to end, refuse unequal results, and write their page. Nothing here looks at a time."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import child
import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
if not (ROOT / "benchmarks").is_dir():
    pytest.skip("not a source tree", allow_module_level=True)
sys.path.append(str(ROOT))

from benchmarks import chart, memory, probe, report  # noqa: E402
from benchmarks.common import OURS, Case, Work, compare, spread  # noqa: E402


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A folder with the results of one quick comparison: with peers, without, and without for the baseline."""
    folder = tmp_path_factory.mktemp("results")
    baseline = {"IMGRESTORE_ISA": "baseline"}
    runs = (("whole", [], {}), ("alone", ["--ours"], {}), ("baseline", ["--ours"], baseline))
    for name, options, environment in runs:
        command = ["-m", "pytest", "benchmarks/test_fft_filter.py", "--quick", *options]
        command += ["--results", str(folder / f"{name}.json"), "-p", "no:cacheprovider"]
        child.run(*command, cwd=ROOT, **environment)
    return folder


def run_rounds(ours, others, rounds):
    for number in range(rounds):
        others(number)
        ours()


def case(**changes):
    values = np.arange(12.0).reshape(3, 4)
    calls = {OURS: lambda: values, "peer": lambda: values + 1e-7}
    return Case(**{"group": "nothing", "size": "3 × 4", "pixels": 12, "calls": calls, "reference": "peer", **changes})


def test_results_say_what_was_measured(measured):
    results = json.loads((measured / "whole.json").read_text())
    (row,) = results["comparisons"]
    assert row["group"] == "fft_filter"
    assert {OURS, "torch.fft", "scipy.fft, 2 workers"} <= set(row["calls"])
    assert all(call["error"] <= row["tolerance"] and call["rounds"] == 2 for call in row["calls"].values())
    assert results["quick"]
    assert not results["ours_only"]
    assert results["machine"]["versions"]["torch"]
    (row,) = json.loads((measured / "baseline.json").read_text())["comparisons"]
    assert list(row["calls"]) == [OURS]


def test_the_page_is_written(measured, tmp_path):
    assert report.main(["--results", str(measured), "--out", str(tmp_path)]) == 0
    page = (tmp_path / "benchmarks.md").read_text()
    for part in ("## The machine", "## fft_filter", "| 64 × 64 |", "torch.fft", "Equal to float64", "a quick run"):
        assert part in page
    rows = [line.count("|") for line in page.splitlines() if line.startswith("| size") or line.startswith("| 64")]
    assert len(rows) == 2
    assert rows[0] == rows[1]


def test_the_page_needs_results(tmp_path, capsys):
    assert report.main(["--results", str(tmp_path), "--out", str(tmp_path)]) == 1
    assert "expected 1" in capsys.readouterr().err


def test_the_picture_is_drawn(measured, tmp_path):
    pytest.importorskip("matplotlib")
    results = json.loads((measured / "whole.json").read_text())
    (row,) = results["comparisons"]
    assert chart.draw(results, tmp_path / "one.svg") is None
    results["comparisons"].append({**row, "size": "128 × 128", "pixels": 128**2})
    assert chart.draw(results, tmp_path / "two.svg").read_text().count("<svg") == 1


def test_unequal_results_are_refused():
    calls = {OURS: lambda: np.zeros(3), "peer": lambda: np.ones(3)}
    with pytest.raises(AssertionError, match=r"imgrestore is 1.0e.00 from the reference"):
        compare(case(calls=calls), run_rounds, quick=True)
    record = compare(case(calls=calls, differs={OURS: "it is another one"}), run_rounds, quick=True)
    assert record["calls"][OURS]["error"] == 1


@pytest.mark.parametrize("wrong", [np.full((3, 4), np.nan), np.zeros((4, 3))], ids=["NaN", "shape"])
def test_what_cannot_be_compared_is_refused(wrong):
    with pytest.raises(AssertionError, match="peer is inf"):
        compare(case(calls={**case().calls, "peer": lambda: wrong}, reference=OURS), run_rounds, quick=True)


def test_sizes_are_numbers():
    with pytest.raises(ValueError, match="size is 'large'"):
        case(size="large")


def test_the_rim_can_be_left_out():
    wanted, other = np.zeros((6, 7)), np.zeros((6, 7))
    other[0] = other[:, -1] = 1
    calls = {OURS: lambda: wanted, "peer": lambda: other}
    assert compare(case(calls=calls, margin=1), run_rounds, quick=True)["calls"][OURS]["error"] == 0


def test_calls_take_turns():
    order = []
    calls = {name: lambda name=name: order.append(name) or np.ones(2) for name in (OURS, "a", "b")}
    compare(case(calls=calls, reference=None), run_rounds, quick=True)
    assert order[-6:] == ["a", "b", OURS, "a", "b", OURS]


def test_median_and_quartiles():
    assert spread([3.0, 1.0, 2.0, 5.0, 4.0]) == {"median": 3, "q1": 2, "q3": 4, "rounds": 5}
    assert spread([2.0]) == {"median": 2, "q1": 2, "q3": 2, "rounds": 1}


def test_the_floor_is_the_longer_of_two_times():
    roofline = {"threads": 2, "caches": {"L2": 100, "L3": 1000}, "flops": 10.0}
    roofline["copy"] = {"L2": 8.0, "L3": 4.0, "memory": 2.0}
    for work, wanted in (
        (Work(100, 8, 50), (10, "compute")),
        (Work(1, 8, 200), (1, "L2")),
        (Work(1, 8, 1000), (2, "L3")),
        (Work(1, 8, 1001), (4, "memory")),
    ):
        assert probe.floor_seconds(roofline, **vars(work)) == wanted


@pytest.mark.skipif(probe.compiler() is None, reason="no C++ compiler")
def test_the_probe_measures():
    found = probe.measure("baseline", 2, quick=True)
    assert found["flops_core"] > 1e8
    assert set(found["copy"]) == {"L2", "L3", "memory"}
    assert min(*found["copy"].values(), found["triad"]) > 1e7


@pytest.mark.skipif(not memory.CLEAR.exists(), reason="the system does not tell peak memory")
def test_memory_is_that_of_the_call():
    side = 1024
    builder = SimpleNamespace(__module__="benchmarks.test_fft_filter", __name__="case")
    found = memory.measure(builder, "torch.fft", (side, side))
    # The spectrum, its product and the result: three pictures, and what the transforms need for a while.
    assert 2 < found / (4 * side**2) < 12
