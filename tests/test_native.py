import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from imgrestore import _native

ROOT = Path(__file__).parents[1]


def child(code, **environment):
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, "PYTHONPATH": path, **environment}
    out = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    return out.stdout


INFO = "import json; from imgrestore._native import build_info; print(json.dumps(build_info()))"


def test_import_is_light():
    code = "import sys, imgrestore._native as n; print('torch' in sys.modules, n._tried)"
    assert child(code).split() == ["False", "False"]


def test_build_info_is_plain_data():
    info = _native.build_info()
    assert json.loads(json.dumps(info)) == info
    assert info["native"]["loaded"] == (info["native"]["reason"] is None) == (info["native"]["path"] is not None)
    assert info["threads"] >= 1
    assert info["cuda"]["loaded"] is False


def test_turned_off_by_the_environment():
    info = json.loads(child(INFO, IMGRESTORE_NATIVE="0"))
    assert info["native"]["loaded"] is False
    assert "IMGRESTORE_NATIVE=0" in info["native"]["reason"]
    assert info["isa"]["in_use"] is None


def test_library_that_does_not_load_is_reported(tmp_path):
    package = tmp_path / "imgrestore"
    package.mkdir()
    (package / "__init__.py").write_text('__version__ = "0"\n')
    shutil.copy(_native.__file__, package)
    (package / "_C.abi3.so").write_text("no library")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); " + INFO
    info = json.loads(child(code, IMGRESTORE_NATIVE="1", PYTHONPATH=str(tmp_path)))
    assert info["native"]["loaded"] is False
    assert "_C.abi3.so" in info["native"]["reason"]
    (package / "_C.abi3.so").unlink()
    info = json.loads(child(code, IMGRESTORE_NATIVE="1", PYTHONPATH=str(tmp_path)))
    assert "without native code" in info["native"]["reason"]


@pytest.mark.skipif(not _native.available(), reason="no native library")
def test_another_build_of_the_library(tmp_path):
    other = tmp_path / Path(_native.build_info()["native"]["path"]).name
    shutil.copy(_native.build_info()["native"]["path"], other)
    info = json.loads(child(INFO, IMGRESTORE_LIBRARY=str(other), IMGRESTORE_NATIVE="1"))
    assert info["native"] == {"loaded": True, "path": str(other), "reason": None}
    info = json.loads(child(INFO, IMGRESTORE_LIBRARY=str(tmp_path / "none.so"), IMGRESTORE_NATIVE="1"))
    assert info["native"]["loaded"] is False
    assert "none.so" in info["native"]["reason"]


@pytest.mark.skipif(not _native.available(), reason="no native library")
class TestInstructionSets:
    def test_baseline_is_always_there(self):
        isa = _native.build_info()["isa"]
        assert isa["compiled"][0] == isa["supported"][0] == "baseline"
        assert isa["in_use"] in isa["compiled"]

    @pytest.mark.parametrize(
        ("wish", "reason"),
        [("baseline", "limited by IMGRESTORE_ISA=baseline"), ("mmx", "IMGRESTORE_ISA=mmx is none of")],
    )
    def test_reason(self, wish, reason):
        isa = json.loads(child(INFO, IMGRESTORE_ISA=wish, IMGRESTORE_NATIVE="1"))["isa"]
        if isa["compiled"] == ["baseline"] and wish == "baseline":
            pytest.skip("there is but one instruction set")
        assert isa["reason"].startswith(reason)


@pytest.mark.parametrize(
    ("environment", "reason"),
    [({"IMGRESTORE_NATIVE": "0"}, "IMGRESTORE_NATIVE=0"), ({"PATH": "", "CXX": "no-such-compiler"}, "")],
    ids=["turned off", "no compiler"],
)
def test_install_goes_on_without_native_code(tmp_path, environment, reason):
    if not (ROOT / "setup.py").exists():
        pytest.skip("not a source tree")
    shutil.copy(ROOT / "setup.py", tmp_path)
    shutil.copytree(ROOT / "csrc", tmp_path / "csrc")
    (tmp_path / "imgrestore").mkdir()
    (tmp_path / "imgrestore" / "__init__.py").touch()
    project = '[project]\nname = "imgrestore"\nversion = "0"\n[tool.setuptools]\npackages = ["imgrestore"]\n'
    (tmp_path / "pyproject.toml").write_text(project)
    out = subprocess.run(
        [sys.executable, "setup.py", "build", "--build-base", "out"],
        cwd=tmp_path,
        env={**os.environ, "CUDA_HOME": "", "IMGRESTORE_NATIVE": "1", **environment},
        capture_output=True,
        text=True,
    )
    assert out.returncode == 0, out.stderr
    lines = [line for line in out.stdout.splitlines() if line.startswith("imgrestore:")]
    assert len(lines) == 1, out.stdout + out.stderr
    (line,) = lines
    assert "installing without native code" in line
    assert reason in line
    assert not list((tmp_path / "out").rglob("*.so"))
