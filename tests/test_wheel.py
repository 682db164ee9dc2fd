"""The wheel: what is in it, and that it restores by itself, away from the checkout and without a network.

The native library that is in use goes into the wheel, as to compile it again takes minutes; where there is none, the
wheel is pure Python and its native code is not asked for.
"""

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import imgrestore
from imgrestore.nets.weights import SHA256

ROOT = Path(__file__).parents[1]
SOURCES = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE")
SUFFIXES = {".py", ".typed", ".so", ".pyd", ".dylib", ".safetensors", ".json", ".md"}
MOST_BYTES = 5e6

# Refuses every socket, then deblurs. Audit hooks see all sockets, and cannot be taken off.
OFFLINE = """
import json, socket, sys

def guard(event, arguments):
    if event.startswith("socket.") or event == "urllib.Request":
        raise RuntimeError(f"network: {event}")

sys.addaudithook(guard)
try:
    socket.create_connection(("127.0.0.1", 9), timeout=1)
except RuntimeError as error:
    refused = str(error)

import imgrestore
import numpy as np
from scipy.signal import convolve

y, x = np.mgrid[:84, :84]
scene = np.clip(0.5 + 0.4 * np.sign(np.sin(x / 7) * np.cos(y / 9)) + 0.1 * np.sin(x / 3), 0, 1)
psf = imgrestore.Psf.disk(2)
observed = convolve(scene, psf.array, mode="valid") + np.random.default_rng(0).normal(0, 0.01, (80, 80))
truth = scene[2:-2, 2:-2]
found = imgrestore.deblur(observed, psf, details=True)
error = lambda picture: float(np.mean((picture - truth) ** 2))
homes = {m.__file__ for n, m in sys.modules.items() if n.split(".")[0] == "imgrestore" and getattr(m, "__file__", "")}
print(json.dumps({
    "refused": refused, "homes": sorted(homes), "notes": list(found.notes), "native": imgrestore.build_info()["native"],
    "gain": error(observed) / error(found.image),
}))
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (ROOT / "setup.py").exists(), reason="the tests are not in a checkout"),
    pytest.mark.skipif(
        any(importlib.util.find_spec(name) is None for name in ("pip", "setuptools", "wheel")),
        reason="pip, setuptools or wheel is not installed",
    ),
]


def python(*arguments, cwd, **changes):
    """Run Python without the variables that change what the library does, or where it is found."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("IMGRESTORE_", "PYTHONPATH", "PIP_"))}
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, env={**kept, **changes}, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def library():
    """The native library that is in use, where there is one."""
    path = imgrestore.build_info()["native"]["path"]
    return None if path is None else Path(path)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory, library):
    """A wheel of the checkout, built in a copy of it."""
    tree = tmp_path_factory.mktemp("wheel") / "tree"
    ignored = shutil.ignore_patterns("__pycache__", "_C.*")
    for folder in ("imgrestore", "csrc", "tests", "benchmarks", "docs"):
        shutil.copytree(ROOT / folder, tree / folder, ignore=ignored)
    for name in SOURCES:
        shutil.copy(ROOT / name, tree)
    options = []
    if library is not None:
        (tree / "setup.cfg").write_text("[build]\nbuild_lib = built\n")
        python("setup.py", "--quiet", "build_py", cwd=tree)
        shutil.copyfile(library, tree / "built" / "imgrestore" / library.name)
        options = ["--config-settings=--build-option=--skip-build"]
    changes = {} if library is not None else {"IMGRESTORE_NATIVE": "0"}
    quiet = ("--quiet", "--disable-pip-version-check", "--no-index", "--no-deps")
    python("-m", "pip", "wheel", *quiet, "--no-build-isolation", *options, "-w", "dist", ".", cwd=tree, **changes)
    (built,) = (tree / "dist").iterdir()
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A folder that holds the wheel's content and nothing else."""
    folder = tmp_path_factory.mktemp("site")
    quiet = ("--quiet", "--disable-pip-version-check", "--no-index", "--no-deps")
    python("-m", "pip", "install", *quiet, "--target", folder, wheel, cwd=wheel.parent)
    return folder


def test_what_is_in_the_wheel(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"imgrestore"}
    assert {Path(name).suffix for name in names if ".dist-info/" not in name} <= SUFFIXES
    package = Path(imgrestore.__file__).parent
    sources = {f"imgrestore/{path.relative_to(package).as_posix()}" for path in package.rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == sources
    assert "imgrestore/py.typed" in names


def test_weights_and_cards_are_in_the_wheel(wheel):
    with zipfile.ZipFile(wheel) as archive:
        files = {Path(name): archive.read(name) for name in archive.namelist() if "/nets/weights/" in name}
    weights = {path.stem: content for path, content in files.items() if path.suffix == ".safetensors"}
    cards = {path.stem: json.loads(content) for path, content in files.items() if path.suffix == ".json"}
    assert weights.keys() == cards.keys() == SHA256.keys()
    for task, content in weights.items():
        assert hashlib.sha256(content).hexdigest() == SHA256[task] == cards[task]["sha256"]
        assert len(content) < MOST_BYTES


def test_the_native_code_is_in_the_wheel(wheel, library):
    if library is None:
        pytest.skip("no native library is in use")
    assert wheel.name.split("-")[2:4] == ["cp310", "abi3"]
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read(f"imgrestore/{library.name}") == library.read_bytes()


def test_the_wheel_restores_without_a_network(installed, library, tmp_path):
    """The weights, the native code and all else come from the wheel alone."""
    said = python("-c", OFFLINE, cwd=tmp_path, PYTHONPATH=str(installed), PYTHONSAFEPATH="1", HOME=str(tmp_path))
    told = json.loads(said)
    assert told["refused"].startswith("network: socket.")
    assert told["homes"]
    assert all(Path(home).is_relative_to(installed) for home in told["homes"])
    assert "refined by the net" in told["notes"]
    assert told["gain"] > 2
    if library is not None:
        assert told["native"]["loaded"], told["native"]["reason"]
        assert Path(told["native"]["path"]).is_relative_to(installed)


def test_the_command_of_the_wheel(installed, tmp_path):
    entry = next(installed.glob("imgrestore-*.dist-info")) / "entry_points.txt"
    assert "imgrestore = imgrestore.cli:app" in entry.read_text()
    said = python("-m", "imgrestore", "--version", cwd=tmp_path, PYTHONPATH=str(installed), PYTHONSAFEPATH="1")
    assert said.strip() == f"imgrestore {imgrestore.__version__}"
