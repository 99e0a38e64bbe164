import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livercascade.data.errors import OutputError
from livercascade.system.files import check_writable, is_aside, new_folder, sha256_of, sha256_text, write_file
from livercascade.system.parallel import as_finished, parallel_map


def names(folder):
    return [path.name for path in folder.iterdir()]


def test_file_is_replaced_whole(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    write_file(path, "one")
    write_file(path, b"two")
    assert path.read_bytes() == b"two" and names(path.parent) == ["a.txt"]
    assert sha256_of(path) == sha256_text("two")


def test_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    write_file(path, "one")

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("livercascade.system.files.os.fsync", full)
    with pytest.raises(OutputError) as caught:
        write_file(path, "two")
    assert (caught.value.code, caught.value.exit_code) == ("NO_SPACE", 75)
    assert path.read_text() == "one" and names(tmp_path) == ["a.txt"]


def test_folder_that_cannot_be_moved_leaves_the_old_one(tmp_path):
    target = tmp_path / "result"
    with new_folder(target) as folder:
        (folder / "a").write_text("one")
    with pytest.raises(KeyError), new_folder(target) as folder:
        (folder / "a").write_text("two")
        raise KeyError
    assert (target / "a").read_text() == "one" and names(tmp_path) == ["result"]


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def write(target, text="new", sub=True):
    with new_folder(target) as folder:
        (folder / "a.txt").write_text(text)
        (folder / "manifest.json").write_text(text)
        if sub:
            (folder / "sub").mkdir()
            (folder / "sub" / "b.txt").write_text(text)


NEW = {"a.txt": "new", "manifest.json": "new", "sub/b.txt": "new"}


def test_a_link_is_followed_and_stays_a_link(tmp_path):
    (tmp_path / "disk" / "big").mkdir(parents=True)
    for name, place in (("link", "disk/big"), ("dangling", "disk/later")):
        (tmp_path / name).symlink_to(place)
        write(tmp_path / name)
        write(tmp_path / name)
        assert (tmp_path / name).is_symlink() and contents(tmp_path / place) == NEW
    assert sorted(names(tmp_path)) == ["dangling", "disk", "link"]
    assert sorted(names(tmp_path / "disk")) == ["big", "later"]
    (tmp_path / "round").symlink_to("round")
    with pytest.raises(OutputError) as caught:
        write(tmp_path / "round")
    assert caught.value.code == "CANNOT_WRITE"


def test_dots_lead_where_they_lead(tmp_path):
    write(tmp_path / "a" / "b" / ".." / ".." / "c")
    assert names(tmp_path) == ["c"] and contents(tmp_path / "c") == NEW


def test_who_stands_in_a_folder_keeps_it(tmp_path, monkeypatch):
    stand = tmp_path / "in"
    stand.mkdir()
    monkeypatch.chdir(stand)
    before = stand.stat().st_ino
    (stand / "old.txt").write_text("old")
    write(Path())
    assert stand.stat().st_ino == before and contents(stand) == contents(Path()) == NEW
    empty = tmp_path / "empty"
    empty.mkdir()
    before = empty.stat().st_ino
    write(empty)
    assert empty.stat().st_ino == before and contents(empty) == NEW


@settings(max_examples=30)
@given(st.integers(0, 9), st.booleans())
def test_a_folder_that_stays_holds_the_old_or_the_new(tmp_path_factory, fails, other):
    """Whatever rename fails, all of the old contents are there; the manifest leaves first and comes last."""
    target = tmp_path_factory.mktemp("out")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(target)
        write(target, "old", sub=other)
        before, seen, calls = contents(target), [], []
        rename = Path.rename

        def sometimes(path, place):
            calls.append(path)
            if len(calls) == fails + 1:
                raise OSError(errno.EIO, "Input/output error")
            seen.append((target / "manifest.json").exists())
            return rename(path, place)

        patch.setattr(Path, "rename", sometimes)
        try:
            write(target)
        except OutputError:
            assert contents(target) == before
        else:
            assert contents(target) == NEW
            # Once the old manifest is away, there is none until every other file has its place.
            assert seen == [True] + [False] * (len(seen) - 1)
    assert not any(is_aside(path) for path in target.iterdir())


MOUNT = """
mount --bind {inside} {target} && {python} -c "
import sys; sys.path.insert(0, '{source}')
from pathlib import Path
from livercascade.system.manifest import new_result_folder, verify
for text in ('one', 'two'):
    with new_result_folder(Path('{target}')) as folder:
        (folder / 'a.txt').write_text(text)
assert verify(Path('{target}'))
"
"""


def test_a_mount_point_is_filled(tmp_path):
    inside, target = tmp_path / "in side", tmp_path / "out put"
    inside.mkdir()
    target.mkdir()
    source = Path(__file__).resolve().parents[1] / "src"
    names_ = {"inside": f"'{inside}'", "target": f"'{target}'", "python": sys.executable, "source": source}
    script = MOUNT.format(**names_).replace(f"Path(''{target}'')", f"Path('{target}')")
    unshared = ["unshare", "--mount", "--map-root-user", "bash", "-ec"]
    try:
        subprocess.run([*unshared, f"mount --bind '{inside}' '{target}'"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this machine lets nobody mount")
    done = subprocess.run([*unshared, script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (inside / "a.txt").read_text() == "two" and sorted(names(inside)) == ["a.txt", "manifest.json"]
    assert sorted(names(tmp_path)) == ["in side", "out put"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("earlier", [False, True])
def test_a_request_to_stop_leaves_nothing(tmp_path, number, earlier):
    target = tmp_path / "deep" / "result"
    if earlier:
        write(target, "old")
    program = (
        "import os, signal, sys, pathlib, livercascade.system.files as files\n"
        # Whoever runs the tests in the background may have made them deaf to the terminal's signals.
        "signal.signal(signal.SIGHUP, signal.SIG_DFL), signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "with files.new_folder(pathlib.Path(sys.argv[1])) as folder:\n"
        "    (folder / 'a.txt').write_text('half')\n"
        "    os.kill(os.getpid(), int(sys.argv[2]))\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(target), str(int(number))], capture_output=True)
    assert done.returncode != 0
    assert names(tmp_path) == (["deep"] if earlier else [])
    assert not earlier or (contents(target)["a.txt"] == "old" and names(target.parent) == ["result"])


def test_handlers_of_others_are_left_alone(tmp_path):
    heard = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    try:
        with new_folder(tmp_path / "result") as folder:
            os.kill(os.getpid(), signal.SIGTERM)
            (folder / "a").write_text("one")
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM] and names(tmp_path / "result") == ["a"]


def test_a_trial_tells_what_cannot_be_written_and_leaves_nothing(tmp_path):
    check_writable(tmp_path / "deep" / "er" / "result")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError) as caught:
        check_writable(tmp_path / "file" / "result")
    assert caught.value.code == "CANNOT_WRITE" and names(tmp_path) == ["file"]


def test_what_a_killed_run_left_goes_after_a_day(tmp_path):
    fresh, stale, other = (tmp_path / name for name in (".out.partial-1", ".out.partial-2", ".other.partial-3"))
    for folder in (fresh, stale, other):
        folder.mkdir()
    for folder in (stale, other):
        os.utime(folder, (1, 1))
    write(tmp_path / "out")
    assert sorted(names(tmp_path)) == [".other.partial-3", ".out.partial-1", "out"]


def double(number: int) -> int:
    if number < 0:
        raise ValueError(number)
    return 2 * number


@pytest.mark.parametrize("workers", [1, 2])
def test_parallel_results_are_in_the_order_of_the_items(workers):
    told = []
    assert parallel_map(double, range(5), workers=workers, advance=lambda: told.append(1)) == [0, 2, 4, 6, 8]
    assert len(told) == 5
    assert sorted(as_finished(double, [3, 1], workers=workers)) == [(0, 6), (1, 2)]
    with pytest.raises(ValueError):
        parallel_map(double, [1, -1], workers=workers)
