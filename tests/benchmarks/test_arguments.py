import argparse
from pathlib import Path

import pytest

from benchmarks.arguments import folder, names, numbers, positive, size


def test_lists_and_sizes() -> None:
    assert names("mtcnn, ssd,") == ["mtcnn", "ssd"]
    assert numbers("1,8,32") == [1, 8, 32]
    assert size("1280x720") == (1280, 720)
    assert positive("3") == 3


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (names, " , "),
        (numbers, "1,x"),
        (numbers, "0,8"),
        (numbers, ""),
        (size, "1280"),
        (size, "0x720"),
        (positive, "0"),
        (positive, "-1"),
        (folder, "no/such/folder"),
    ],
)
def test_nonsense_is_refused(parse: object, text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        parse(text)  # type: ignore[operator]


def test_folder(tmp_path: Path) -> None:
    assert folder(str(tmp_path)) == tmp_path
