"""The benchmarks for a GPU run from end to end on the CPU. Nothing here looks at a time."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import child
import numpy as np
import pytest
import torch

ROOT = Path(__file__).parents[1]
if not (ROOT / "benchmarks").is_dir():
    pytest.skip("not a source tree", allow_module_level=True)
sys.path.append(str(ROOT))

from benchmarks.common import OURS, Work  # noqa: E402
from benchmarks.gpu import __main__ as program  # noqa: E402
from benchmarks.gpu import page  # noqa: E402
from benchmarks.gpu.cases import GROUPS, STEPS, moved_by_step  # noqa: E402
from benchmarks.gpu.contest import Contest, run  # noqa: E402
from benchmarks.gpu.loops import cupy_loop, with_torch  # noqa: E402
from benchmarks.gpu.watch import CpuWatch, CudaWatch, sets_for  # noqa: E402

OPS = ("richardson_lucy", "fft_filter", "gated_block", "channel_norm", "depthwise_gate")
FILTERS = ("separable", "box", "bilateral", "guided", "tv_denoise")


@pytest.fixture(scope="module")
def dry(tmp_path_factory):
    """The folder of a dry run."""
    folder = tmp_path_factory.mktemp("dry")
    where = ("--results", str(folder), "--page", str(folder / "page.md"), "--copies", str(folder / "copies"))
    done = child.run("-m", "benchmarks.gpu", "--quick", "--device", "cpu", *where, cwd=ROOT)
    assert "gpu-bench: measured, a dry run" in done.stdout
    return folder


def test_the_page_has_all_that_was_measured_and_says_that_it_is_a_dry_run(dry):
    text = (dry / "page.md").read_text()
    assert "This is a dry run on the CPU" in text
    titles = [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]
    for name in (*OPS, *FILTERS):
        assert any(title.startswith(name) for title in titles), name
    assert [t for t in titles if t.startswith("fft_convolve")] == [f"fft_convolve, {k} × {k}" for k in (3, 7, 15, 31)]
    for part in ("## The device", "## Targets", "torch.fft loop as a graph", "torch.compile, channels last", "TF32"):
        assert part in text
    for target in page.TARGETS:
        assert target.text() in text
    assert (dry / "copies" / "benchmarks-gpu.md").read_text() == text


def test_the_results_are_equal_and_complete(dry):
    results = json.loads((dry / "results.json").read_text())
    assert results["dry"]
    assert not results["failed"]
    assert {row["part"] for row in results["comparisons"]} == set(GROUPS)
    for row in results["comparisons"]:
        assert set(row["failed"]) <= {"CuPy"}
        assert row["reference"] in row["calls"]
        assert all(call["error"] <= row["tolerance"] for call in row["calls"].values())
        assert row["work"]["flops"] > 0
        assert row["work"]["traffic"] > 0


def test_some_can_be_measured_anew_and_the_rest_are_kept(dry, tmp_path):
    results = json.loads((dry / "results.json").read_text())
    told = {"dry": True, "quick": True, **{key: results[key] for key in ("device", "machine", "cupy")}}
    (tmp_path / "results.json").write_text(json.dumps({**results, **told}))
    options = ["--quick", "--device", "cpu", "--results", str(tmp_path), "--only", "fft_filter"]
    assert program.main(options) == 0
    after = json.loads((tmp_path / "results.json").read_text())
    assert [row["part"] for row in after["comparisons"]] == [row["part"] for row in results["comparisons"]]
    assert (tmp_path / "benchmarks-gpu.md").exists()


def test_a_dry_run_is_never_written_to_the_documentation(tmp_path, capsys):
    options = ["--quick", "--device", "cpu", "--results", str(tmp_path), "--page", str(ROOT / "docs" / "none.md")]
    assert program.main(options) == 1
    assert "a dry run is not written" in capsys.readouterr().err
    assert not (ROOT / "docs" / "none.md").exists()


def test_without_a_gpu_nothing_is_measured(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert program.main([]) == 1
    assert "torch sees no CUDA device" in capsys.readouterr().err


def test_time_that_is_over_is_told(tmp_path, capsys):
    options = ["--quick", "--device", "cpu", "--results", str(tmp_path), "--only", "fft_filter", "--minutes", "0"]
    assert program.main(options) == 1
    assert "minutes were over" in capsys.readouterr().out
    assert "not begun" in (tmp_path / "benchmarks-gpu.md").read_text()


def contest(**changes):
    makers = {OURS: lambda x: lambda: 2 * x, "torch": lambda x: lambda: x + x}
    known = {"inputs": lambda seed: (torch.ones(3, 4) + seed,), "makers": {**makers, **changes.pop("makers", {})}}
    return Contest("nothing", "about", (3, 4), work=Work(1, 1, 1), **{**known, **changes})


def judged(**changes):
    return run(contest(**changes), CpuWatch(torch.device("cpu")), 1 << 20, quick=True)


def test_ours_has_to_be_right():
    with pytest.raises(AssertionError, match=r"imgrestore is .* from torch, more than"):
        judged(makers={OURS: lambda x: lambda: 3 * x})
    with pytest.raises(AssertionError, match="imgrestore is inf"):
        judged(makers={OURS: lambda x: lambda: 2 * x[:1]})
    with pytest.raises(AssertionError, match="imgrestore is inf"):
        judged(makers={OURS: lambda x: lambda: x * torch.nan})


def test_others_that_fail_or_are_wrong_are_named():
    def broken(x):
        raise RuntimeError("no such thing\nhere")

    row = judged(makers={"broken": broken, "wrong": lambda x: lambda: x})
    assert row["failed"]["broken"] == "RuntimeError: no such thing here"
    assert "wrong is" in row["failed"]["wrong"]
    assert set(row["calls"]) == {OURS, "torch"}


def test_calls_take_turns_and_go_through_the_sets():
    seen = {OURS: [], "torch": []}

    def maker(name):
        return lambda x: lambda: seen[name].append(float(x[0, 0])) or 2 * x

    row = judged(makers={name: maker(name) for name in seen})
    assert row["sets"] == 2
    for values in seen.values():
        assert values[2:] == [1, 2] * (len(values[2:]) // 2)
    assert all(call["rounds"] == 2 for call in row["calls"].values())


def test_the_sets_are_larger_than_the_cache():
    for resident in (1e5, 1e6, 1e7, 1e9):
        count = sets_for(resident, 50 << 20, quick=False)
        assert 2 <= count <= 32
        assert count == 32 or (count - 1) * resident > 2 * (50 << 20)


def test_a_gpu_is_timed_by_events(monkeypatch):
    told = []

    class Event:
        def __init__(self, enable_timing):
            assert enable_timing

        def record(self):
            told.append("event")

        def synchronize(self):
            told.append("wait")

        def elapsed_time(self, end):
            return 6.0

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: told.append("idle"))
    watch = CudaWatch(torch.device("cpu"))
    assert watch.seconds(lambda: told.append("call"), 3) == pytest.approx(2e-3)
    assert told == ["idle", "event", "call", "call", "call", "event", "wait"]


class ElementwiseKernel:
    """CuPy's, for the one kernel that is asked of it."""

    def __init__(self, takes, gives, body, name):
        assert body == "q = y / max(e, least)"

    def __call__(self, y, e, least, out):
        np.divide(y, np.maximum(e, least), out=out)


@pytest.mark.parametrize("shape", [(20, 24), (6, 8, 10)], ids=str)
def test_the_loops_agree(shape):
    cupy = SimpleNamespace(
        fft=np.fft, from_dlpack=np.from_dlpack, full_like=np.full_like, ElementwiseKernel=ElementwiseKernel
    )
    observed = torch.rand(1, 1, *shape) + 0.1
    psf = torch.zeros(shape)
    psf[..., 0, :3] = psf[..., 1, :3] = 1
    response = torch.fft.rfftn(psf / psf.sum())
    adjoint = response.conj().resolve_conj()
    here = with_torch(observed, response, adjoint, STEPS, accelerate=False)
    there = cupy_loop(cupy, observed, response, adjoint, STEPS)()
    torch.testing.assert_close(there.float(), here, rtol=1e-4, atol=1e-5)


def test_targets_are_judged_by_the_least():
    def row(group, size, ours, others, reached=1.0):
        calls = {OURS: {"median": ours}, **{name: {"median": t, "differs": None} for name, t in others.items()}}
        work = {"flops": 0.0, "traffic": reached * ours, "resident": 1}
        return {"group": group, "size": size, "calls": calls, "work": work, "peak": "flops"}

    ceilings = {"caches": {"L2": 0, "L3": 0}, "threads": 1, "copy": {"memory": 1.0}, "flops": 1.0}
    block = {"torch": 2.0, "torch, channels last": 0.9, "imgrestore, channels last": 0.5}
    rows = [
        row("richardson_lucy", "4096 × 4096", 1.0, {"torch.fft loop": 3.5, "torch.fft loop as a graph": 2.5}, 0.7),
        row("richardson_lucy", "1024 × 1024", 1.0, {"torch.fft loop": 2.5, "torch.fft loop as a graph": 2.2}, 0.1),
        row("richardson_lucy, accelerated", "9 × 9", 1.0, {"torch.fft loop": 0.1}),
        row("gated_block, width 32, float32", "8 × 8", 1.0, block),
    ]
    told = {text: (figure, yes) for text, figure, yes in page.target_rows({"comparisons": rows, "ceilings": ceilings})}
    assert told["richardson_lucy: 3 × as fast as torch.fft loop"] == ("2.50 × at 1024 × 1024", "no")
    assert told["richardson_lucy: 2 × as fast as torch.fft loop as a graph"] == ("2.20 × at 1024 × 1024", "yes")
    assert told["richardson_lucy, 4096 × 4096: 60 % of the floor"] == ("70 % at 4096 × 4096", "yes")
    assert told["fft_filter: 1.5 × as fast as torch.fft"] == ("not measured", "")
    # Like is compared with like: 2 against 1, and 0.9 against 0.5 where channels come last.
    assert told["gated_block: 1 × as fast as torch"] == ("1.80 × at 8 × 8", "yes")


def test_what_a_step_moves():
    assert moved_by_step(2, accelerate=False) == 2 * 12 + 12 + 16
    assert moved_by_step(3, accelerate=False) == 2 * (12 + 2 * 8) + 12 + 16
