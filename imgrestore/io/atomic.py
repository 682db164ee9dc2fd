"""Write a file or a folder whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO


@contextlib.contextmanager
def whole_file(target: Path, overwrite: bool) -> Iterator[BinaryIO]:
    """Open a temporary file beside `target` that takes its place once the block ends without an error.

    The temporary file is flushed to the disk before it is renamed, and removed on any failure. It gets the
    permissions of the file it replaces, otherwise those of any new file.
    """
    target = Path(os.path.realpath(target))  # a link stays a link, what it points to is replaced
    _check_target(target, overwrite)
    temporary = target.parent / f".imgrestore-{secrets.token_hex(8)}.tmp"
    try:
        with open(temporary, "w+b", opener=_only_new) as stream:
            lock(stream)  # tells `remove_leftovers` that somebody is at work on it
            yield stream
            stream.flush()
            _copy_permissions(target, temporary)
            os.fsync(stream.fileno())
        _put_in_place(temporary, target, overwrite)
    except OSError as error:
        if error.errno is None or isinstance(error, FileExistsError):
            raise
        # OSError picks the subclass by the number: PermissionError, FileNotFoundError...
        raise OSError(error.errno, f"could not write: {error.strerror}", str(target)) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    _sync_folder(target.parent)


def remove_leftovers(folder: Path) -> int:
    """Remove the temporary files that killed processes left in a folder; those that are being written stay.

    Returns how many there were.
    """
    removed = 0
    for path in folder.glob(".imgrestore-*.tmp"):
        with contextlib.suppress(OSError), open(path, "r+b") as stream:
            if lock(stream):
                path.unlink()
                removed += 1
    return removed


def lock(stream: BinaryIO) -> bool | None:
    """Lock an open file until it is closed, at the latest by the end of the process, however that comes.

    False where it is locked already, None where the system or the file system has no locks.
    """
    try:
        import fcntl

        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        return None
    return True


@contextlib.contextmanager
def whole_folder(target: Path, overwrite: bool, is_ours: Callable[[Path], bool]) -> Iterator[Path]:
    """Make a temporary folder beside `target` that takes its place once the block ends without an error.

    A folder that is there already is replaced if `overwrite` and `is_ours` says that it is of the same kind; it is
    moved aside first, and comes back where the new one cannot take its place.
    """
    target = Path(os.path.realpath(target))
    _check_parent(target)
    if os.path.lexists(target):
        if not overwrite:
            raise _exists(target)
        if not target.is_dir() or not is_ours(target):
            raise FileExistsError(f"cannot write {target}: what is there is not of the same kind, and is not replaced")
    token = secrets.token_hex(8)
    temporary, aside = (target.parent / f".imgrestore-{token}.{kind}" for kind in ("tmp", "old"))
    try:
        temporary.mkdir()
        yield temporary
        _swap(temporary, target, aside, overwrite)
    except OSError as error:
        if error.errno is None or isinstance(error, FileExistsError):
            raise
        raise OSError(error.errno, f"could not write: {error.strerror}", str(target)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    shutil.rmtree(aside, ignore_errors=True)
    _sync_folder(target.parent)


def _swap(temporary: Path, target: Path, aside: Path, overwrite: bool) -> None:
    there = os.path.lexists(target)
    if there and not overwrite:  # another process was faster
        raise _exists(target)
    if there:
        os.rename(target, aside)
    try:
        os.rename(temporary, target)
    except OSError:
        if there:
            os.rename(aside, target)
        raise


def _only_new(path: str, flags: int) -> int:
    # Not the mode "x+b": astropy asks the stream for its mode and does not know that one.
    return os.open(path, flags | os.O_EXCL, 0o666)


def _check_target(target: Path, overwrite: bool) -> None:
    if target.is_dir():
        raise IsADirectoryError(f"cannot write {target}: it is a folder, expected the path of a file")
    _check_parent(target)
    if target.exists() and not target.is_file():
        raise FileExistsError(f"cannot write {target}: it is a device or pipe, expected a plain file")
    if not overwrite and target.exists():
        raise _exists(target)


def _check_parent(target: Path) -> None:
    if not target.parent.exists():
        raise FileNotFoundError(f"cannot write {target}: the folder {target.parent} does not exist")
    if not target.parent.is_dir():
        raise NotADirectoryError(f"cannot write {target}: {target.parent} is not a folder")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise PermissionError(f"cannot write {target}: no permission to write in the folder {target.parent}")


def _exists(target: Path) -> FileExistsError:
    return FileExistsError(f"cannot write {target}: it exists already and overwrite is False")


def _copy_permissions(target: Path, temporary: Path) -> None:
    try:
        mode = stat.S_IMODE(target.stat().st_mode)
    except FileNotFoundError:
        return
    with contextlib.suppress(OSError):  # some file systems have no permissions
        temporary.chmod(mode)


def _put_in_place(temporary: Path, target: Path, overwrite: bool) -> None:
    if not overwrite:
        try:
            os.link(temporary, target)  # unlike a rename, fails if another process was faster
            return
        except FileExistsError:
            raise _exists(target) from None
        except OSError:  # no hard links on this file system
            if target.exists():
                raise _exists(target) from None
    os.replace(temporary, target)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut, where the system lets a folder be synced."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
