from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.pictures import draw, fill, find_pictures, pictures, read, write_filled


def test_fill_covers_and_cuts_around_the_middle() -> None:
    image = np.zeros((100, 300, 3), np.uint8)
    image[:, 100:200] = 255
    filled = fill(image, 50, 50)
    assert filled.shape == (50, 50, 3)
    assert filled.min() == 255


@pytest.mark.parametrize("shape", [(7, 1000), (1000, 7), (33, 34), (720, 1280)])
def test_fill_has_exactly_the_size_asked_for(shape: tuple[int, int]) -> None:
    assert fill(np.zeros((*shape, 3), np.uint8), 128, 72).shape == (72, 128, 3)


def test_pictures_are_repeated_when_there_are_too_few(tmp_path: Path) -> None:
    for name in ("b.jpg", "a.PNG", "note.txt"):
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in find_pictures(tmp_path)] == ["a.PNG", "b.jpg"]
    names = [path.name for path in find_pictures(tmp_path, 5)]
    assert names == ["a.PNG", "b.jpg", "a.PNG", "b.jpg", "a.PNG"]


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no pictures"):
        find_pictures(tmp_path)


def test_copies_of_one_size_keep_the_order(tmp_path: Path) -> None:
    for name, shade in (("dark.png", 0), ("light.png", 255)):
        cv2.imwrite(str(tmp_path / name), np.full((30, 40, 3), shade, np.uint8))
    listed = [tmp_path / name for name in ("light.png", "dark.png", "light.png")]
    out = tmp_path / "out"
    out.mkdir()
    copies = write_filled(listed, out, 20, 10)
    assert copies[0] == copies[2]
    assert [int(read(path).mean()) for path in copies] == [255, 0, 255]


def test_drawn_pictures_are_of_mixed_sizes_and_the_same_each_time() -> None:
    first, second = list(draw(3)), list(draw(3))
    assert len({picture.shape for picture in first}) == 3
    assert all((a == b).all() for a, b in zip(first, second, strict=True))


def test_drawn_pictures_do_not_outlive_their_use() -> None:
    with pictures(None, 2) as paths:
        assert len(paths) == 2
    assert not paths[0].exists()
