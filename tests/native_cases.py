"""Tests of the native code: only where it is, with every instruction set, and without it."""

import child
import pytest

from imgrestore import _native

needs_native = pytest.mark.skipif(not _native.available(), reason=f"no native library: {_native.reason()}")
isas = pytest.mark.parametrize("isa", _native.build_info()["isa"]["compiled"])


def in_child(code, **environment):
    """Run code in another process; gives whether it has the library, and the instruction set in use."""
    tail = '\nfrom imgrestore import _native\nprint(_native.available(), _native.build_info()["isa"]["in_use"])'
    return child.run("-c", code + tail, **environment).stdout.split()


def assert_isa(code, isa):
    if isa not in _native.build_info()["isa"]["supported"]:
        pytest.skip(f"this processor does not have {isa}")
    assert in_child(code, IMGRESTORE_ISA=isa, IMGRESTORE_NATIVE="1") == ["True", isa]


def assert_without_native(code):
    assert in_child(code, IMGRESTORE_NATIVE="0") == ["False", "None"]
