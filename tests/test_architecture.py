"""The house's rules that can be read off the source: imports go down only, files stay short, ops have tests."""

import ast
import sys
from pathlib import Path

import child
import pytest

import imgrestore

ROOT = Path(__file__).parents[1]
PACKAGE = Path(imgrestore.__file__).parent
FLOORS = (
    ("types", "psf", "psf_field", "psf_file", "pixels", "light", "io", "sheet", "sheet_page", "_native"),
    ("ops",),
    ("degrade", "metrics"),
    ("classical", "nets", "losses"),
    ("tasks",),
    ("diagnosis", "plan", "data", "tiles", "job", "job_tiles", "evidence", "evidence_sheet"),
    (
        *("train", "scale"),
        *("evaluate", "evaluate_cases", "evaluate_diagnosis", "evaluate_masks", "evaluate_methods", "evaluate_restore"),
        *("export", "export_recipes", "export_separator", "export_wiener"),
    ),
    ("cli", "web", "__main__"),
)
STRANGERS = ("classical", "nets", "losses")
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}
LONGEST = 400

MODULES = sorted(p for p in PACKAGE.rglob("*.py") if p.parent != PACKAGE or p.name != "__init__.py")


def room(dotted):
    """The part of the package that a name belongs to: of 'imgrestore.io.png' 'io', of 'imgrestore.deblur' 'tasks'."""
    parts = dotted.split(".")
    if len(parts) == 1 or parts[1] == "__version__":
        return None
    if parts[1] in imgrestore._HOMES:
        return imgrestore._HOMES[parts[1]].split(".")[1]
    return parts[1]


def imports(path):
    """The rooms that a file imports, except for type checkers, with the line: sets of (room, line)."""
    inside = ["imgrestore", *path.relative_to(PACKAGE).with_suffix("").parts]
    found = set()

    class Visitor(ast.NodeVisitor):
        def visit_If(self, node):
            if ast.unparse(node.test) != "TYPE_CHECKING":
                self.generic_visit(node)

        def visit_Import(self, node):
            found.update((room(a.name), node.lineno) for a in node.names if a.name.split(".")[0] == "imgrestore")

        def visit_ImportFrom(self, node):
            base = ".".join(inside[: len(inside) - node.level]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            if module.split(".")[0] != "imgrestore":
                return
            names = [f"imgrestore.{a.name}" for a in node.names] if module == "imgrestore" else [module]
            found.update((room(name), node.lineno) for name in names)

    Visitor().visit(ast.parse(path.read_text(encoding="utf-8")))
    return {(name, line) for name, line in found if name is not None}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_down(path):
    own = path.relative_to(PACKAGE).with_suffix("").parts[0]
    assert own in FLOOR, f"{own} has no floor: give it one in FLOORS"
    for name, line in imports(path):
        where = f"{path.relative_to(ROOT)}:{line} imports {name}"
        assert name in FLOOR, f"{where}, which has no floor"
        assert FLOOR[name] <= FLOOR[own], f"{where}, which is above {own}"
        stranger = name != own and name in STRANGERS and own in STRANGERS
        assert not stranger, f"{where}; {', '.join(STRANGERS)} do not import each other"


def test_the_check_sees_imports(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path)
    path = tmp_path / "nets" / "a.py"
    path.parent.mkdir()
    path.write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from imgrestore.web import x\n"
        "from imgrestore import deblur, __version__\nfrom . import b\nfrom ..io import read\n"
        "import imgrestore.cli.files\ndef f():\n    from imgrestore.classical.noise import g\n"
    )
    assert {name for name, _ in imports(path)} == {"tasks", "nets", "io", "cli", "classical"}


def test_files_are_short():
    sources = [*PACKAGE.rglob("*.py"), *(p for p in (ROOT / "csrc").rglob("*") if p.is_file())]
    long = {str(p.relative_to(ROOT)): n for p in sources if (n := len(p.read_text().splitlines())) > LONGEST}
    assert not long, f"past {LONGEST} lines, split them: {long}"


def test_every_op_has_its_test():
    stems = {p.stem for p in (PACKAGE / "ops").glob("*.py") if not p.stem.startswith("_")}
    assert stems
    assert not {s for s in stems if not (ROOT / "tests" / f"test_{s}.py").exists()}


def run(code):
    return child.run("-c", code, timeout=60).stdout.strip()


def test_import_is_light():
    heavy = "('torch', 'skimage', 'scipy', 'numpy', 'PIL')"
    assert run(f"import sys, imgrestore; dir(imgrestore); print(*(m for m in {heavy} if m in sys.modules))") == ""


def test_help_is_light():
    code = "import sys, imgrestore.cli; print(*(m for m in ('torch', 'skimage', 'scipy') if m in sys.modules))"
    assert run(code) == ""


def test_every_public_name_is_there():
    assert set(imgrestore.__all__) <= set(dir(imgrestore))
    for name in imgrestore.__all__:
        assert getattr(imgrestore, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = imgrestore.nothing


def test_one_version():
    assert imgrestore.build_info()["version"] == imgrestore.__version__
