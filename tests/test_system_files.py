import errno

import pytest

from livercascade.data.errors import OutputError
from livercascade.system.files import new_folder, sha256_of, sha256_text, write_file
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
