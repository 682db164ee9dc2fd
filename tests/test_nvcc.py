"""All of csrc/cuda compiles for A100 and H100, and no kernel spills registers; no GPU is needed for that.

Both have as many registers, so by default device code alone is compiled, for H100. The files of `SLOW`, which take
minutes to optimize, are then compiled nearly without, which finds all errors but says nothing of registers.
``IMGRESTORE_NVCC=all`` compiles everything as a build does, for both, and looks for spills everywhere: run it after a
change of csrc/cuda.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1]
CUDA = ROOT / "csrc" / "cuda"
ARCHITECTURES = ("80", "90")
ALL = os.environ.get("IMGRESTORE_NVCC") == "all"
SLOW = {"fft_pixels", "gated_block_narrow", "richardson_lucy", "sparse_steps_run"}


def toolkit():
    """The folder of a CUDA toolkit, or None."""
    nvcc = shutil.which("nvcc")
    folders = [os.environ.get("CUDA_HOME"), *([Path(nvcc).resolve().parents[1]] if nvcc else []), "/usr/local/cuda"]
    for folder in filter(None, folders):
        if (Path(folder) / "include" / "cuda_runtime.h").exists() and (Path(folder) / "bin" / "nvcc").exists():
            return Path(folder)
    return None


TOOLKIT = toolkit()
needs_nvcc = pytest.mark.skipif(TOOLKIT is None, reason="needs a CUDA toolkit")


def run(command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stderr


def test_the_slow_files_are_there():
    assert {path.stem for path in CUDA.glob("*.cu")} > SLOW


@needs_nvcc
@pytest.mark.parametrize("path", sorted(CUDA.glob("*.cu")), ids=lambda p: p.stem)
def test_kernels_compile_without_spills(path, tmp_path):
    quick = path.stem in SLOW and not ALL
    assembled = ARCHITECTURES if ALL else ARCHITECTURES[1:]
    # One front end for both: what it makes for 8.0 is assembled for either.
    targets = [f"-gencode=arch=compute_80,code=sm_{a}" for a in assembled]
    made = ["-c"] if ALL else ["-cubin"]
    level = ["-Xcicc", "-O1", "-Xptxas", "-O1"] if quick else ["-O3"]
    compiler = [TOOLKIT / "bin" / "nvcc", *made, "-std=c++17", *level, "-Xptxas", "-v", *targets]
    told = run([*compiler, path, "-o", tmp_path / "kernel.o"])
    assert {a for a in ARCHITECTURES if f"for 'sm_{a}'" in told} == set(assembled)
    spilled = re.findall(r"Function properties for (\S+)\s.*?, (\d+) bytes spill stores, (\d+) bytes spill loads", told)
    assert spilled
    assert quick or not [name for name, *bytes_ in spilled if bytes_ != ["0", "0"]]


@needs_nvcc
@pytest.mark.parametrize("path", sorted(CUDA.glob("*_op.cpp")), ids=lambda p: p.stem)
def test_registrations_compile(path):
    include = Path(torch.__file__).parent / "include"
    flags = ["-fsyntax-only", "-std=c++17", "-w", "-DUSE_CUDA", "-DTORCH_TARGET_VERSION=0x020a000000000000"]
    folders = [include, include / "torch" / "csrc" / "api" / "include", TOOLKIT / "include"]
    run(["g++", *flags, *(f"-I{folder}" for folder in folders), path])
