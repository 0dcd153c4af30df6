"""Files appear whole or not at all."""

import os
import stat
from pathlib import Path

import pytest

from fmkit.files import check_writable, written_beside


def test_a_file_is_replaced_only_when_it_is_whole(tmp_path):
    path = tmp_path / "lists.csv"
    path.write_text("old")
    with written_beside(path) as part:
        part.write_text("new")
        assert part.suffix == ".csv"
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_after_an_error_the_old_file_stays_and_nothing_else(tmp_path):
    path = tmp_path / "lists.csv"
    path.write_text("old")

    def write_half() -> None:
        with written_beside(path) as part:
            part.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_replaced_file_keeps_its_permissions_and_links_to_it(tmp_path):
    private, link = tmp_path / "private", tmp_path / "link"
    private.write_text("old")
    private.chmod(0o600)
    link.symlink_to(private)
    with written_beside(link) as part:
        part.write_text("new")
    assert link.is_symlink()
    assert private.read_text() == "new"
    assert stat.S_IMODE(private.stat().st_mode) == 0o600


def test_a_folder_that_is_missing_is_told_with_the_mend(tmp_path):
    path = tmp_path / "none" / "m.fmkit"
    with pytest.raises(FileNotFoundError, match=f"there is no folder {path.parent}: make it first") as caught:
        check_writable(path)
    assert caught.value.filename == str(path)
    with pytest.raises(FileNotFoundError, match="there is no folder"), written_beside(path):
        pass


def test_permissions_are_those_of_any_new_file(tmp_path):
    (tmp_path / "other").touch()
    with written_beside(tmp_path / "new") as part:
        part.touch()
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == stat.S_IMODE((tmp_path / "other").stat().st_mode)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
def test_a_full_disk_is_told_with_the_name_of_the_file():
    with pytest.raises(OSError, match="/dev/full"), written_beside("/dev/full") as part:
        part.write_bytes(b"x")
    assert not Path("/dev/full").is_file()


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    with written_beside(tmp_path / "pipe") as part:
        part.write_bytes(b"lists")
    assert os.read(reader, 9) == b"lists"
    os.close(reader)


@pytest.mark.parametrize("bad", [".", "missing/file"])
def test_folders_and_missing_folders_are_told_before_the_work(tmp_path, bad):
    with pytest.raises(OSError, match=str(tmp_path)):
        check_writable(tmp_path / bad)
