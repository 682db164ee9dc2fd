"""Tests of the native code: only where it is, with every instruction set, and without it."""

import atexit
import functools
import json
from subprocess import PIPE

import child
import pytest

from imgrestore import _native

needs_native = pytest.mark.skipif(not _native.available(), reason=f"no native library: {_native.reason()}")
isas = pytest.mark.parametrize("isa", _native.build_info()["isa"]["compiled"])

# Runs what it is told, a line at a time, and answers with the error, if any, and with what library it has.
LISTENER = """
import contextlib, json, sys, traceback
from imgrestore import _native
for line in sys.stdin:
    error = ""
    with contextlib.redirect_stdout(sys.stderr):
        try:
            exec(compile(json.loads(line), "<child>", "exec"), {"__name__": "__main__"})
        except BaseException:
            error = traceback.format_exc()
    print(json.dumps([error, _native.available(), _native.build_info()["isa"]["in_use"]]), flush=True)
"""


@functools.cache
def _listener(**environment):
    """A process with this environment, for all tests that want one: most of a test's time would go into its start."""
    process = child.start("-c", LISTENER, changes=environment, stdin=PIPE, stdout=PIPE, text=True)
    atexit.register(process.kill)
    return process


def in_child(code, **environment):
    """Run code in another process; gives whether it has the library, and the instruction set in use."""
    process = _listener(**environment)
    try:
        process.stdin.write(json.dumps(code) + "\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        assert answer, f"the process ended with {process.wait(timeout=60)}"
    except BaseException:  # a test's time may be over, too: the next one must not be given its answer
        process.kill()
        _listener.cache_clear()
        raise
    error, *found = json.loads(answer)
    assert not error, error
    return found


def assert_isa(code, isa):
    if isa not in _native.build_info()["isa"]["supported"]:
        pytest.skip(f"this processor does not have {isa}")
    assert in_child(code, IMGRESTORE_ISA=isa, IMGRESTORE_NATIVE="1") == [True, isa]


def assert_without_native(code):
    assert in_child(code, IMGRESTORE_NATIVE="0") == [False, None]
