import errno

import pytest

from livercascade.data.errors import OutputError
from livercascade.system.manifest import check_place, new_result_folder, verify


def write(out, text="one"):
    with new_result_folder(out) as folder:
        (folder / "a.txt").write_text(text)
        (folder / "sub").mkdir()
        (folder / "sub" / "b.txt").write_text("two")
        assert folder != out


def test_result_appears_whole_and_verifies(tmp_path):
    out = tmp_path / "deep" / "case"
    write(out)
    assert verify(out) and sorted(p.name for p in out.iterdir()) == ["a.txt", "manifest.json", "sub"]
    write(out, "new")
    assert verify(out) and (out / "a.txt").read_text() == "new"
    assert [p.name for p in out.parent.iterdir()] == ["case"]


@pytest.mark.parametrize("damage", ["change", "add", "remove", "manifest"])
def test_any_change_is_noticed(tmp_path, damage):
    out = tmp_path / "case"
    write(out)
    if damage == "change":
        (out / "a.txt").write_text("One")
    elif damage == "add":
        (out / "c.txt").write_text("")
    elif damage == "remove":
        (out / "sub" / "b.txt").unlink()
    else:
        (out / "manifest.json").write_text("{}")
    assert not verify(out)
    assert not verify(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "NO_SPACE", 75),
        (PermissionError(errno.EACCES, "denied"), "CANNOT_WRITE", 1),
    ],
)
@pytest.mark.parametrize("earlier", [False, True])
def test_error_leaves_nothing_new_behind(tmp_path, error, code, status, earlier):
    out = tmp_path / "case"
    if earlier:
        write(out)
    with pytest.raises(OutputError) as caught, new_result_folder(out) as folder:
        (folder / "a.txt").write_text("half")
        raise error
    assert caught.value.code == code and caught.value.exit_code == status
    assert [p.name for p in tmp_path.iterdir()] == (["case"] if earlier else [])
    assert not earlier or verify(out)


def test_other_errors_pass_through(tmp_path):
    with pytest.raises(KeyError), new_result_folder(tmp_path / "case"):
        raise KeyError("x")
    assert not list(tmp_path.iterdir())


def test_foreign_folder_is_never_replaced(tmp_path):
    (tmp_path / "case").mkdir()
    write(tmp_path / "case")
    foreign = tmp_path / "photos"
    foreign.mkdir()
    (foreign / "x.jpg").touch()
    with pytest.raises(OutputError) as caught:
        write(foreign)
    assert caught.value.code == "OUT_TAKEN" and (foreign / "x.jpg").exists()


def test_a_place_is_refused_before_the_work(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "x.jpg").touch()
    for place, code in ((tmp_path / "photos", "OUT_TAKEN"), (tmp_path / "photos" / "x.jpg" / "out", "CANNOT_WRITE")):
        with pytest.raises(OutputError) as caught:
            check_place(place)
        assert caught.value.code == code
    check_place(tmp_path / "new")
    assert [p.name for p in tmp_path.iterdir()] == ["photos"]


def test_what_a_killed_run_left_inside_is_no_content(tmp_path):
    out = tmp_path / "case"
    (out / ".case.partial-1").mkdir(parents=True)
    (out / ".case.partial-1" / "half.txt").touch()
    write(out)
    (out / ".case.partial-2").mkdir()
    (out / ".case.partial-2" / "half.txt").touch()
    assert verify(out)
