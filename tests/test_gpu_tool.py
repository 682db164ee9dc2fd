"""`make gpu-build` and `make gpu-sanitize` say plainly what is wrong. compute-sanitizer is played by a script."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

PATH = Path(__file__).parents[1] / "tools" / "gpu.py"
if not PATH.exists():
    pytest.skip("not a source tree", allow_module_level=True)
spec = importlib.util.spec_from_file_location("gpu_tool", PATH)
gpu = sys.modules["gpu_tool"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(gpu)

PASSED = "64 passed, 3 deselected in 4.20s\n========= ERROR SUMMARY: 0 errors\n"
UNWRITTEN = "========= Uninitialized __global__ memory read of size 4 bytes\n=========     at {}()+0x90\n"


@pytest.fixture
def program(tmp_path, monkeypatch):
    """A compute-sanitizer that says what it is told to."""

    def write(says, status=0, wait=0):
        path = tmp_path / "bin" / "compute-sanitizer"
        path.parent.mkdir(exist_ok=True)
        path.write_text(
            f"#!/bin/sh\nexec 0<&-\n[ {wait} = 0 ] || exec sleep {wait}\ncat <<'END'\n{says}END\nexit {status}\n"
        )
        path.chmod(0o755)
        monkeypatch.setenv("CUDA_HOME", str(tmp_path))

    return write


def sanitize(tmp_path, *words):
    return gpu.main(["sanitize", "--out", str(tmp_path / "logs"), *words])


def test_all_is_well(program, tmp_path, capsys):
    program(PASSED)
    assert sanitize(tmp_path) == 0
    told = capsys.readouterr().out
    assert told.count("64 passed, 3 deselected") == 3
    assert told.endswith("gpu-sanitize: clean\n")
    assert (tmp_path / "logs" / "racecheck.log").read_text() == PASSED


@pytest.mark.parametrize(
    ("tool", "says", "status", "verdict"),
    [
        ("memcheck", PASSED.replace(": 0 errors", ": 7 errors"), gpu.FOUND, "7 errors"),
        (
            "racecheck",
            "========= RACECHECK SUMMARY: 2 hazards displayed (2 errors)\n",
            gpu.FOUND,
            "2 hazards displayed",
        ),
        ("initcheck", UNWRITTEN.format("void imgrestore::box<float>") + PASSED, 0, "1 reads of what was never written"),
        ("memcheck", "========= Error: Device not supported\n", 1, "does not run here: device not supported"),
        ("memcheck", "========= Internal error\n", 255, "does not run here (status 255)"),
        ("memcheck", "1 failed in 3.00s\n========= ERROR SUMMARY: 0 errors\n", 1, "the tests fail (status 1)"),
        ("memcheck", "no tests ran in 0.01s\n========= ERROR SUMMARY: 0 errors\n", 0, "the tests fail"),
    ],
    ids=str,
)
def test_what_is_wrong_is_said(program, tmp_path, capsys, tool, says, status, verdict):
    program(says, status)
    assert sanitize(tmp_path, "--tools", tool) == 1
    told = capsys.readouterr().out
    assert f"{tool}: {verdict}" in told
    assert "gpu-sanitize: FAILED" in told


def test_what_torch_does_not_write_is_its_own_affair(program, tmp_path):
    program(UNWRITTEN.format("void at::native::reduce") + PASSED)
    assert sanitize(tmp_path, "--tools", "initcheck") == 0


def test_what_takes_too_long_is_stopped(program, tmp_path, capsys):
    program("", wait=30)
    assert sanitize(tmp_path, "--tools", "memcheck", "--minutes", "0.005") == 1
    assert "memcheck: stopped: it took too long" in capsys.readouterr().out


def test_without_the_program(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(gpu, "sanitizer", lambda: None)
    assert sanitize(tmp_path) == 1
    assert "no compute-sanitizer" in capsys.readouterr().out


def test_the_tests_that_run_are_those_of_kernels(program, tmp_path, monkeypatch):
    commands = []
    start = gpu.subprocess.Popen

    def recorded(command, **options):
        commands.append((command, options))
        return start(command, **options)

    monkeypatch.setattr(gpu.subprocess, "Popen", recorded)
    program(PASSED)
    sanitize(tmp_path, "-k", "box")
    assert len(commands) == 3
    for command, options in commands:
        names = [Path(word).stem for word in command if word.endswith(".py")]
        assert "test_device_channel_norm" in names
        assert "test_device_gpu_only" not in names
        assert command[command.index("-k") + 1] == "box"
        assert options["env"]["PYTORCH_NO_CUDA_MEMORY_CACHING"] == "1"


@pytest.mark.skipif(torch.version.cuda is not None, reason="needs a torch without CUDA")
def test_a_build_without_kernels_is_a_failure(capsys):
    assert gpu.main(["check"]) == 1
    told = capsys.readouterr().out
    assert "cuda is not in use" in told
    assert told.endswith("gpu-build: FAILED\n")
    assert gpu.main(["architectures"]) == 0
