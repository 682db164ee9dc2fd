"""The device kernels on the CPU: builds csrc/cuda with the executor of csrc/testing, once for all test processes."""

import fcntl
import functools
import importlib.util
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from imgrestore import _native

ROOT = Path(__file__).parents[1]
CSRC = ROOT / "csrc"
# `make races`: stops where threads touch a place with no barrier between them, or one that is not aligned
RACES = os.environ.get("IMGRESTORE_RACES") == "1"
BUILD = ROOT / "build" / ("executor-races" if RACES else "executor")
FLAGS = ["-O1", "-g0", "-std=c++17", "-w", "-fvisibility=hidden", "-DIMGR_EXECUTOR"]
FLAGS += ["-DTORCH_TARGET_VERSION=0x020a000000000000"]
# An environment that is not activated has its ninja beside its Python.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])


def sources():
    """The C++ files of the library, and a file that includes each .cu, as g++ does not take them for C++."""
    wrappers = []
    for kernel in sorted(p for folder in ("cuda", "testing") for p in (CSRC / folder).glob("*.cu")):
        wrapper = BUILD / f"{kernel.stem}_kernel.cpp"
        text = f'#include "{kernel}"\n'
        if not wrapper.exists() or wrapper.read_text() != text:
            wrapper.write_text(text)
        wrappers.append(wrapper)
    return [
        str(p) for p in [*wrappers, *sorted((CSRC / "cuda").glob("*.cpp")), *sorted((CSRC / "testing").glob("*.cpp"))]
    ]


def watching_compiler():
    """A compiler that has kernels tell csrc/testing/races.cpp of all they touch, and nobody else."""
    script = BUILD / "compiler" / "g++"
    script.parent.mkdir(exist_ok=True)
    text = '#!/bin/sh\ncase " $*" in *_kernel.cpp*) set -- -fsanitize=thread,alignment -g1 "$@" ;; esac\n'
    text += f'exec {shlex.quote(os.environ.get("CXX", "g++"))} "$@"\n'
    if not script.exists() or script.read_text() != text:
        script.write_text(text)
        script.chmod(0o755)
    return str(script)


# In a process of its own: torch's builder imports setuptools, which will not come after distutils.
BUILDER = """
import json, sys
from torch.utils import cpp_extension
cpp_extension.load(**json.loads(sys.argv[1]), is_python_module=False)
"""
NAME = "imgrestore_executor_module"


@functools.cache
def library():
    """The module, built where its sources changed; what it computes are torch.ops.imgrestore_executor."""
    BUILD.mkdir(parents=True, exist_ok=True)
    environment = dict(os.environ)
    if RACES:
        environment["CXX"] = watching_compiler()
    with (BUILD / "building").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (BUILD / "lock").unlink(missing_ok=True)  # torch's own, which a build that was killed leaves behind
        asked = {
            "name": NAME,
            "sources": sources(),
            "build_directory": str(BUILD),
            "extra_cflags": FLAGS,
        }
        command = [sys.executable, "-c", BUILDER, json.dumps(asked)]
        built = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if built.returncode:
        told = (built.stdout + built.stderr).splitlines()
        raise RuntimeError("\n".join(line for line in told if "error" in line) or "\n".join(told[-20:]))
    spec = importlib.util.spec_from_file_location(NAME, BUILD / f"{NAME}.so")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def why_not():
    """Why the kernels cannot be built here, or None."""
    if shutil.which("ninja") is None or shutil.which("g++") is None:
        return "needs g++ and ninja"
    return None if CSRC.exists() else "needs csrc"


# A GPU needs no executor, and must not be left out of a run because there is no compiler.
needs_executor = pytest.mark.skipif(
    f"config.getoption('--device') == 'executor' and {why_not() is not None}", reason=str(why_not())
)


def check_gpu():
    """End the run, and say why, where there is no GPU or no library for it: with twins in its place all would pass."""
    if not torch.cuda.is_available():
        pytest.exit("--device cuda: torch sees no CUDA device", returncode=1)
    cuda = _native.build_info()["cuda"]
    if not cuda["loaded"]:
        pytest.exit(f"--device cuda: the CUDA kernels are not in use: {cuda['reason']}", returncode=1)
    if not _native.takes(torch.empty(1, device="cuda")):
        pytest.exit("--device cuda: the GPU is older than the CUDA kernels are compiled for", returncode=1)


class Device:
    """Where a test of device ops runs: a GPU, or the executor, whose tensors lie on the CPU.

    Parameters
    ----------
    module : module, optional
        The executor.
    name : str
        Without an executor: "cuda", or "cpu" for a dry run on the CPU's own kernels.
    """

    def __init__(self, module=None, name="cuda"):
        self.module = module
        self.name = "executor" if module else name

    def put(self, x):
        """The tensor on the device, with the same strides."""
        if self.name != "cuda" or not isinstance(x, torch.Tensor):
            return x
        # What is repeated without taking memory is repeated there, too: nothing can be copied over it.
        once = x[tuple(slice(1 if stride == 0 else None) for stride in x.stride())]
        there = torch.empty_strided(once.size(), once.stride(), dtype=x.dtype, device="cuda").copy_(once)
        return there.expand(x.size())

    def orders(self):
        """Runs for two orders of threads and blocks, falling and shuffled; on a GPU the order is its own, twice."""
        for order in (1, 7) if self.module else (0, 0):
            if self.module:
                self.module.configure(order=order)
            yield order
        if self.module:
            self.module.configure()


@pytest.fixture(scope="session")
def executor():
    return library()


@pytest.fixture
def device(request, monkeypatch):
    """A GPU with ``--device cuda``, the CPU's own kernels with ``--device cpu``, else the executor in their place."""
    name = request.config.getoption("--device")
    if name != "executor":
        if name == "cuda":
            check_gpu()
        yield Device(name=name)
        return
    module = library()
    ops = torch.ops.imgrestore_executor
    monkeypatch.setattr(_native, "op", lambda name, register: getattr(ops, name).default)
    monkeypatch.setattr(_native, "on_cuda", lambda x: True)
    module.configure()
    yield Device(module)
    module.configure()
