"""Batches: what comes out, and that neither killed workers nor killed clients nor bad files lose anything of it."""

import json
import os
import signal
import subprocess
import sys

import child
import numpy as np
import pytest
from skimage import data
from typer.testing import CliRunner

import imgrestore
from imgrestore import io
from imgrestore.cli import app
from imgrestore.io.atomic import lock, remove_leftovers
from imgrestore.job import Job, Work
from imgrestore.scale import places
from imgrestore.scale.batch import Totals
from imgrestore.scale.orders import NOTHING, Order, Outcome, restore, states_of
from imgrestore.scale.report import Report, digest

pytest.importorskip("distributed")
from batch_cases import FLAKY, KILLER, MORTAL, batch, busy, cluster, lines, pictures, slow, wait_for

from imgrestore.scale.cluster import connected, local

FAST = ["--psf", "gaussian:1", "--method", "wiener"]


def call(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with cluster(tmp_path_factory.mktemp("cluster")) as address:
        yield address


@pytest.fixture(scope="module")
def client(address):
    with connected(address) as client:
        client.wait_for_workers(2, timeout=120)
        yield client


def allow(client, failures):
    """Have the scheduler try again as often where workers die."""

    def change(dask_scheduler):
        dask_scheduler.allowed_failures = failures

    client.run_on_scheduler(change)


def identities(folder):
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.glob("*.png")}


def negatives(folder, out):
    return all(np.array_equal(io.read(out / p.name).pixels, 255 - io.read(p).pixels) for p in folder.iterdir())


def test_workers_of_a_scheduler_that_was_started_apart(address, client, tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    camera = data.camera()
    for i in range(3):
        io.write(folder / f"{i}.png", camera[i * 64 : i * 64 + 64, 100:164])
    (folder / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    result = call("batch", "deblur", folder, "-o", out, "--scheduler", address, *FAST)
    assert result.exit_code == 1, result.output
    told = result.stderr.splitlines()
    assert told[0].startswith(f"{folder / 'bad.png'}: it is truncated")
    assert told[1:] == [f"3 done, 1 failed of 4; {out / 'report.jsonl'} tells of each"]
    for i in range(3):
        expected = imgrestore.deblur(io.read(folder / f"{i}.png").pixels, "gaussian:1", method="wiener")
        assert np.array_equal(io.read(out / f"{i}.png").pixels, expected)
    head, *rest = (json.loads(line) for line in (out / "report.jsonl").read_text().splitlines())
    assert (head["run"], head["pictures"]) == ("deblur", 4)
    assert head["options"]["psf"].startswith("Psf (")
    by_name = {os.path.basename(line["source"]): line for line in rest}
    assert by_name["bad.png"]["status"] == "failed"
    assert by_name["bad.png"]["attempts"] == 1
    good = by_name["0.png"]
    assert (good["status"], good["error"], good["attempts"]) == ("done", None, 1)
    assert good["worker"] in client.nthreads()
    assert good["settings"] == head["settings"]
    assert sorted(p.name for p in out.iterdir()) == ["0.png", "1.png", "2.png", "report.jsonl"]

    again = call("batch", "deblur", folder, "-o", out, "--scheduler", address, *FAST)
    assert again.exit_code == 1
    assert again.stderr.count("exists already; --overwrite replaces it") == 3
    before = identities(out)
    resumed = call("batch", "deblur", folder, "-o", out, "--scheduler", address, "--resume", *FAST)
    assert resumed.stderr.splitlines()[1].startswith("0 done, 3 skipped, 1 failed of 4")
    others = call("batch", "deblur", folder, "-o", out, "--scheduler", address, "--resume", "--psf", "disk:2")
    assert others.stderr.count("exists already") == 3
    assert identities(out) == before
    io.write(out / "1.png", io.read(out / "1.png").pixels[:32])
    resumed = call("batch", "deblur", folder, "-o", out, "--scheduler", address, "--resume", "--overwrite", *FAST)
    assert resumed.stderr.splitlines()[1].startswith("1 done, 2 skipped, 1 failed of 4")
    assert io.read(out / "1.png").pixels.shape == (64, 64)


def test_a_killed_worker_loses_nothing(client, tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    pictures(folder, 16)
    io.write(folder / "005.png", np.full((16, 16), MORTAL, np.uint8))
    allow(client, 3)
    totals, written = batch(client, folder, out)
    assert (totals.done, totals.failed) == (16, 0)
    assert len(written) == len({line["target"] for line in written}) == 16
    assert negatives(folder, out)
    assert (tmp_path / f"seen-{MORTAL}").exists()  # a worker died over it
    assert not (out / "report.jsonl.begun").exists()


def test_what_kills_its_workers_fails_and_the_rest_is_done(client, tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    pictures(folder, 6)
    io.write(folder / "a_killer.png", np.full((16, 16), KILLER, np.uint8))
    io.write(folder / "b_flaky.png", np.full((16, 16), FLAKY, np.uint8))
    (folder / "c_bad.png").write_bytes(b"")
    allow(client, 0)
    client.wait_for_workers(2, timeout=120)
    totals, written = batch(client, folder, out)
    assert (totals.done, totals.failed) == (7, 2)
    found = {os.path.basename(line["source"]): line for line in written}
    assert "workers died over it" in found["a_killer.png"]["error"]
    assert found["a_killer.png"]["attempts"] == 2
    assert found["b_flaky.png"]["status"] == "done"
    assert found["b_flaky.png"]["attempts"] >= 2
    assert found["c_bad.png"]["status"] == "failed"
    assert "it is empty" in found["c_bad.png"]["error"]


def test_resume_after_the_client_was_killed(address, client, tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    pictures(folder, 30)
    client.wait_for_workers(2, timeout=120)
    process = child.start("-c", "import batch_cases; batch_cases.main()", address, str(folder), str(out))
    wait_for(lambda: len(lines(out / "report.jsonl")) >= 5, process)
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=30)
    wait_for(lambda: not any(client.processing().values()))
    wait_for(lambda: not any(client.run(busy).values()))  # a worker ends the picture that it is at
    finished = identities(out)
    assert 5 <= len(finished) < 30
    written = lines(out / "report.jsonl")
    # As a client might be killed after a picture is written, and before its line is.
    (out / "report.jsonl").write_text("".join(json.dumps(line) + "\n" for line in written[:-2]) + '{"source": "cut o')
    (out / ".imgrestore-0123456789abcdef.tmp").write_bytes(b"half")
    totals, resumed = batch(client, folder, out, resume=True)
    assert (totals.skipped, totals.done, totals.failed) == (len(finished), 30 - len(finished), 0)
    assert {name: state for name, state in identities(out).items() if name in finished} == finished
    statuses = {os.path.basename(line["target"]): line["status"] for line in resumed}
    assert {name for name, status in statuses.items() if status == "skipped"} == set(finished)
    assert negatives(folder, out)
    assert sorted({p.suffix for p in out.iterdir()}) == [".jsonl", ".png"]


def test_interrupt(tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    pictures(folder, 200)
    words = ["batch", "deblur", str(folder), "-o", str(out), "--workers", "1", *FAST]
    options = {"stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    process = child.start("-m", "imgrestore", *words, **options)
    wait_for(lambda: len(lines(out / "report.jsonl")) >= 3, process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to the workers too
    _, told = process.communicate(timeout=90)
    assert process.returncode == 130, told
    assert told.splitlines()[-1].startswith("interrupted: ")
    assert "Traceback" not in told
    assert not list(out.glob(".imgrestore-*"))
    assert len(lines(out / "report.jsonl")) < 200


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--scheduler", "tcp://x:1", "--workers", "2"], "--scheduler and --workers are both given"),
        (["--psf", "nothing.npy"], "--psf nothing.npy: no such file"),
        (["--report", "."], ". is a folder; expected a file for the report"),
    ],
)
def test_calls_that_make_no_sense(words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pictures(tmp_path / "in", 1)
    result = call("batch", "deblur", "in", "-o", "out", *words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "imgrestore batch deblur" in result.stderr
    assert result.stderr.count("\n") == 1


def test_results_are_no_sources(tmp_path):
    pictures(tmp_path / "in" / "out", 1)
    result = call("batch", "deblur", tmp_path / "in", "-r", "-o", tmp_path / "in" / "out")
    assert result.exit_code == 2
    assert "results would be taken for sources" in result.stderr


def test_a_scheduler_that_is_not_there(tmp_path):
    pictures(tmp_path / "in", 1)
    result = call("batch", "deblur", tmp_path / "in", "-o", tmp_path / "out", "--scheduler", "nonsense://", *FAST)
    assert result.exit_code == 1
    assert "--scheduler nonsense://: no scheduler answers there" in result.stderr
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["report.jsonl"]


def test_every_task_has_its_batch():
    for task in ("deblur", "demoire", "deshadow", "dereflect", "despecular", "derust"):
        result = call("batch", task, "--help")
        assert result.exit_code == 0
        assert "--workers" in result.output
    assert "--stain" in call("batch", "derust", "--help").output


def test_without_dask(monkeypatch, tmp_path):
    pictures(tmp_path / "in", 1)
    monkeypatch.setitem(sys.modules, "distributed", None)
    result = call("batch", "deblur", tmp_path / "in", "-o", tmp_path / "out", *FAST)
    assert result.exit_code == 2
    assert 'pip install "imgrestore[scale]"' in result.stderr


@pytest.fixture
def one(tmp_path):
    """A job of one picture."""
    (source,) = pictures(tmp_path / "in", 1)
    return Job(source, tmp_path / "out" / source.name)


def test_what_an_earlier_attempt_finished_is_not_done_again(one):
    work = Work(slow, {"seconds": 0})
    order = Order(0, one, states_of(one))
    assert order.before == NOTHING
    assert restore(order, work).status == "done"
    before = one.target.stat().st_mtime_ns
    again = restore(order, work)
    assert (again.status, again.notes) == ("done", ("finished by an earlier attempt",))
    assert one.target.stat().st_mtime_ns == before
    assert restore(Order(0, one, NOTHING, resumed=True), work).status == "skipped"
    # It was there before: somebody else's.
    assert "exists already" in restore(Order(0, one, states_of(one)), work).error


@pytest.mark.parametrize("other", [b"cut", "small", "float"])
def test_a_result_that_is_not_whole_is_made_again(one, other):
    one.target.parent.mkdir()
    if other == b"cut":
        one.target.write_bytes(one.source.read_bytes()[:40])
    else:
        pixels = np.zeros((8, 8) if other == "small" else (16, 16), np.uint8 if other == "small" else np.uint16)
        io.write(one.target, pixels)
    assert restore(Order(0, one, NOTHING, resumed=True), Work(slow, {"seconds": 0})).status == "done"
    assert np.array_equal(io.read(one.target).pixels, 255 - io.read(one.source).pixels)


def test_which_errors_another_attempt_may_help(one):
    def of(error):
        def task(*given, **named):
            raise error

        return restore(Order(0, one), Work(task, {})).again

    assert of(ValueError("x")) == of(FileExistsError("x")) == "no"
    assert of(OSError(5, "x")) == "yes"
    assert of(MemoryError()) == of(RuntimeError("DefaultCPUAllocator: can't allocate")) == "alone"


def test_report_knows_what_belongs_to_the_same_source_and_settings(one, tmp_path):
    def known(settings="a"):
        report = Report(tmp_path / "report.jsonl", "deblur", settings, resume=True)
        try:
            return report.before(Order(0, one))
        finally:
            report.close(complete=False)

    assert known() is None
    report = Report(tmp_path / "report.jsonl", "deblur", "a")
    with pytest.raises(BlockingIOError, match="another batch"):
        Report(tmp_path / "report.jsonl", "deblur", "a")
    report.begin(Order(0, one))
    report.close(complete=False)
    assert known() == NOTHING  # begun
    assert known("b") is None
    report = Report(tmp_path / "report.jsonl", "deblur", "a")
    restore(Order(0, one), Work(slow, {"seconds": 0}))
    size = one.target.stat().st_size
    report.end(Order(0, one), Outcome("done", 0.1, size=size), 1)
    report.close(complete=True)
    assert not report.begun.exists()
    assert known() == NOTHING  # done
    one.target.write_bytes(b"another file")
    assert known() is None
    one.target.unlink()
    assert known() == NOTHING
    io.write(one.source, np.zeros((9, 9), np.uint8))
    assert known() is None


def test_digest_of_settings(tmp_path):
    psf = imgrestore.Psf.gaussian(1)
    one = {"psf": psf, "weights": tmp_path / "w"}
    (tmp_path / "w").write_bytes(b"1")
    first = digest(one)
    assert first == digest({"weights": tmp_path / "w", "psf": imgrestore.Psf.gaussian(1)})
    assert first != digest({**one, "psf": imgrestore.Psf.gaussian(2)})
    (tmp_path / "w").write_bytes(b"2")
    assert first != digest(one)
    assert len({digest(x) for x in (1, 1.0, True, "1", None, [1], [[1]], np.ones(1), np.ones((1, 1)))}) == 9


def test_one_gpu_a_worker(tmp_path):
    assert [places.assigned(place, 3) for place in range(5)] == ["cuda:0", "cuda:1", "cuda:2", "cuda:0", "cuda:1"]
    assert places.assigned(4, 0) is None
    code = f"from imgrestore.scale import places; print(places.claim({str(tmp_path)!r}), flush=True); input()"
    others = [child.start("-c", code, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        assert {int(process.stdout.readline()) for process in others} == {0, 1}
        others[0].kill()
        others[0].wait(timeout=30)
        assert places.claim(tmp_path) in (0, 1)  # the place of the dead is free
        assert places.claim(tmp_path) == 2
    finally:
        for process in others:
            process.kill()
            process.communicate(timeout=30)


def test_pinned_threads(monkeypatch):
    import cv2
    import torch

    for name in places.VARIABLES:
        monkeypatch.setenv(name, "9")
    before = torch.get_num_threads(), cv2.getNumThreads()
    try:
        places.pin(1)
        assert (torch.get_num_threads(), cv2.getNumThreads()) == (1, 1)
        assert {os.environ[name] for name in places.VARIABLES} == {"1"}
        places.pin(3)
        assert (torch.get_num_threads(), cv2.getNumThreads()) == (3, 3)
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])


def test_leftovers_are_removed_unless_somebody_writes_them(tmp_path):
    dead, alive = (tmp_path / f".imgrestore-{digit * 16}.tmp" for digit in "01")
    dead.write_bytes(b"half")
    with open(alive, "wb") as stream:
        assert lock(stream)
        assert remove_leftovers(tmp_path) == 1
        assert [p.name for p in tmp_path.iterdir()] == [alive.name]


def test_totals_in_words():
    assert str(Totals(3, 0, 0)) == "3 done"
    assert str(Totals(0, 2, 1)) == "0 done, 2 skipped, 1 failed"


def test_own_workers_keep_the_memory_that_they_freed_and_are_pinned():
    with local(1, 1, 1) as client:
        (found,) = client.run(lambda: dict(os.environ)).values()
    assert "MALLOC_TRIM_THRESHOLD_" not in found
    assert found["OMP_NUM_THREADS"] == "1"
