"""Options, fixtures and the results file of the benchmarks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import benchmarks  # noqa: F401  (sets the environment, and so comes before torch)
from benchmarks import machine, memory, probe
from benchmarks.common import OURS, THREADS, isa_in_use, set_threads, size_name
from benchmarks.common import compare as run_comparison

RESULTS = pytest.StashKey[dict]()
# The slowest comparison calls some peers for minutes.
TIMEOUT = 900
# What is run first; everything else follows by name.
WORTH = ("test_deconvolution", "test_fft_filter", "test_wiener")


def pytest_addoption(parser):
    group = parser.getgroup("imgrestore")
    group.addoption("--quick", action="store_true", help="tiny sizes and two rounds: shows that all runs, not how fast")
    group.addoption("--ours", action="store_true", help="no peers, no check, no memory: for IMGRESTORE_ISA=...")
    group.addoption("--results", type=Path, help="the JSON file to write (build/benchmarks/INSTRUCTION_SET.json)")


def pytest_configure(config):
    config.addinivalue_line("markers", "shapes(*shapes, quick): run for these shapes; a number n stands for n × n")
    set_threads()
    config.stash[RESULTS] = {"comparisons": [], "memory": []}


def pytest_generate_tests(metafunc):
    mark = metafunc.definition.get_closest_marker("shapes")
    if mark is None:
        return
    chosen = [mark.kwargs["quick"]] if metafunc.config.getoption("--quick") else mark.args
    shapes = [(shape, shape) if isinstance(shape, int) else shape for shape in chosen]
    metafunc.parametrize("shape", shapes, ids=["x".join(map(str, shape)) for shape in shapes])


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: WORTH.index(item.path.stem) if item.path.stem in WORTH else len(WORTH))
    for item in items:
        item.add_marker(pytest.mark.timeout(TIMEOUT))
        # pytest-benchmark sees nothing of a call so long that the one of its check is its measurement.
        item.add_marker(pytest.mark.filterwarnings("ignore:Benchmark fixture was not used"))


@pytest.fixture(scope="session")
def roofline(request):
    """Measures what the machine can do at best before the first comparison and after the last, and how busy it was."""
    quick, isa = request.config.getoption("--quick"), isa_in_use()

    def measure():
        known = isa in probe.ISA and not request.config.getoption("--ours")
        return probe.measure(isa, THREADS, quick=quick) if known else None

    first, before = measure(), machine.processor_time()
    yield
    results, after = request.config.stash[RESULTS], machine.processor_time()
    if before and after:
        whole, busy, ours = (b - a for a, b in zip(before, after, strict=True))
        results["others"] = max(0.0, busy - ours) / max(whole, 1e-9)
    results["roofline"] = probe.better(first, measure()) if first else None


@pytest.fixture
def compare(request, benchmark, roofline):
    """Runs a `Case`. pytest-benchmark measures ours, and before each of its rounds every peer has its turn."""
    quick, ours = request.config.getoption("--quick"), request.config.getoption("--ours")

    def run_rounds(target, others, rounds):
        number = iter(range(rounds))
        benchmark.pedantic(target, setup=lambda: others(next(number)), rounds=rounds)

    def run(case):
        record = run_comparison(case.ours() if ours else case, run_rounds, quick=quick)
        record["about"] = request.module.__doc__.strip()
        request.config.stash[RESULTS]["comparisons"].append(record)
        benchmark.group = case.group
        benchmark.extra_info.update(record)
        return record

    return run


@pytest.fixture
def peak_memory(request):
    """Measures the most memory that each call of a case takes beyond its input, each in a process of its own."""
    quick, results = request.config.getoption("--quick"), request.config.stash[RESULTS]
    if request.config.getoption("--ours"):
        pytest.skip("memory does not depend on the instruction set")

    def run(builder, shape, **arguments):
        case = builder(shape, **arguments)
        group, pixels, names = case.group, case.pixels, list(case.calls)
        del case
        for name in names:
            found = memory.measure(builder, name, shape, **arguments)
            record = {"group": group, "size": size_name(shape), "pixels": pixels, "name": name, "bytes": found}
            results["memory"].append(record)
            assert quick or found is None or found > 0

    return run


def pytest_sessionfinish(session):
    config = session.config
    results = config.stash.get(RESULTS, None)
    if results is None or not (results["comparisons"] or results["memory"]):
        return
    path = config.getoption("--results") or probe.BUILD / f"{isa_in_use()}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    known = {"machine": machine.describe(), "isa": isa_in_use(), "quick": config.getoption("--quick")}
    known["ours_only"] = config.getoption("--ours")
    path.write_text(json.dumps({**known, **results}, indent=1), encoding="utf-8")


def pytest_terminal_summary(terminalreporter, config):
    rows = config.stash[RESULTS]["comparisons"]
    if not rows:
        return
    terminalreporter.section(f"{isa_in_use()}, {THREADS} threads: medians, and how many times as long as imgrestore")
    for row in rows:
        ours = row["calls"][OURS]["median"]
        parts = [f"{name} {call['median'] / ours:.2f}×" for name, call in row["calls"].items() if name != OURS]
        terminalreporter.line(f"{row['group']}, {row['size']}: {1e3 * ours:.3g} ms   " + ", ".join(parts))
