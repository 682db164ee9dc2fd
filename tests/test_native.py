import json
import shutil
from pathlib import Path

import child
import pytest
import torch
from native_cases import needs_native
from torch._subclasses.fake_tensor import FakeTensorMode

from imgrestore import _native

ROOT = Path(__file__).parents[1]
INFO = "import json; from imgrestore._native import build_info; print(json.dumps(build_info()))"


def info_in_child(**options):
    return json.loads(child.run("-c", INFO, **options).stdout)


def test_import_is_light():
    code = "import sys, imgrestore._native as n; print('torch' in sys.modules, n._cpu._tried)"
    assert child.run("-c", code).stdout.split() == ["False", "False"]


def test_build_info_is_plain_data():
    info = _native.build_info()
    assert json.loads(json.dumps(info)) == info
    assert info["native"]["loaded"] == (info["native"]["reason"] is None) == (info["native"]["path"] is not None)
    assert info["threads"] >= 1
    assert info["cuda"]["loaded"] == (info["cuda"]["reason"] is None)


def test_turned_off_by_the_environment():
    info = info_in_child(IMGRESTORE_NATIVE="0")
    assert info["native"]["loaded"] is False
    assert "IMGRESTORE_NATIVE=0" in info["native"]["reason"]
    assert info["isa"]["in_use"] is None


def test_library_that_does_not_load_is_reported(tmp_path):
    package = tmp_path / "imgrestore"
    package.mkdir()
    (package / "__init__.py").write_text('__version__ = "0"\n')
    shutil.copy(_native.__file__, package)
    (package / "_C.abi3.so").write_text("no library")
    info = info_in_child(cwd=tmp_path, IMGRESTORE_NATIVE="1")
    assert info["native"]["loaded"] is False
    assert "_C.abi3.so" in info["native"]["reason"]
    (package / "_C.abi3.so").unlink()
    info = info_in_child(cwd=tmp_path, IMGRESTORE_NATIVE="1")
    assert "without native code" in info["native"]["reason"]


@pytest.mark.parametrize(("capability", "takes"), [((7, 5), False), ((8, 0), True), ((12, 0), True), (None, False)])
def test_old_gpus_are_left_to_torch(monkeypatch, capability, takes):
    monkeypatch.setattr(_native._cuda, "_tried", True)
    monkeypatch.setattr(_native._cuda, "path", "_C_cuda.so")
    monkeypatch.setattr(_native, "_runs", {})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: capability is not None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    with FakeTensorMode():
        x = torch.empty(2, device="cuda:0")
    assert _native.takes(x) == takes


@needs_native
def test_another_build_of_the_library(tmp_path):
    other = tmp_path / Path(_native.build_info()["native"]["path"]).name
    shutil.copy(_native.build_info()["native"]["path"], other)
    info = info_in_child(IMGRESTORE_LIBRARY=str(other), IMGRESTORE_NATIVE="1")
    assert info["native"] == {"loaded": True, "path": str(other), "reason": None}
    info = info_in_child(IMGRESTORE_LIBRARY=str(tmp_path / "none.so"), IMGRESTORE_NATIVE="1")
    assert info["native"]["loaded"] is False
    assert "none.so" in info["native"]["reason"]


@needs_native
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
        isa = info_in_child(IMGRESTORE_ISA=wish, IMGRESTORE_NATIVE="1")["isa"]
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
    environment = {"CUDA_HOME": "", "IMGRESTORE_NATIVE": "1", **environment}
    out = child.run("setup.py", "build", "--build-base", "out", cwd=tmp_path, **environment)
    lines = [line for line in out.stdout.splitlines() if line.startswith("imgrestore:")]
    assert len(lines) == 1, out.stdout + out.stderr
    (line,) = lines
    assert "installing without native code" in line
    assert reason in line
    assert not list((tmp_path / "out").rglob("*.so"))
