"""The folders that ``benchmarks find`` measures on."""

from pathlib import Path

import cv2
import numpy as np

from benchmarks import find
from benchmarks.find import _link, _write_random
from deepface.images.files import list_images
from deepface.search.folder import Datastore
from tests.stand_ins import ColorModel, cached


def test_links_in_the_folders_of_their_originals(tmp_path: Path) -> None:
    for name in ("ann/1.jpg", "ann/2.jpg", "bob/1.jpg"):
        path = tmp_path / "people" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\xff\xd8\xff\xe0" + name.encode())
    links = _link(tmp_path / "people", tmp_path / "links", 5)
    names = ["ann/1.jpg", "ann/2.jpg", "bob/1.jpg", "ann/1-1.jpg", "ann/1-2.jpg"]
    assert links == [str(tmp_path / "links" / name) for name in names]
    assert sorted(list_images(tmp_path / "links")) == sorted(links)
    assert Path(links[4]).read_bytes() == Path(links[1]).read_bytes()


def test_a_gallery_of_random_vectors(tmp_path: Path) -> None:
    _write_random(tmp_path / "many", 50)
    (path,) = (tmp_path / "many").glob("*.npz")
    assert path.stem == "ds_model_facenet512_detector_skip_aligned_normalization_base_expand_0"
    gallery = Datastore(str(tmp_path / "many"), path.stem, "npz", 512).load()
    assert gallery.embedding.shape == (50, 512) and gallery.has_embedding.all()


def test_a_stream_with_broken_pictures(tmp_path: Path) -> None:
    for number in range(4):
        path = tmp_path / "people" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), np.full((32, 32, 3), 50 * number + 9, np.uint8))
    with cached("facial_recognition", "Dlib", ColorModel()):
        probes = _link(tmp_path / "people", tmp_path / "probes", 8)
        Path(probes[3]).unlink()
        answers = find._streamed(probes, str(tmp_path / "people"), "skip", "Dlib", "cpu", 2)
    assert [answer["faces"] for answer in answers] == [7 * 4] * 2  # all greys are parallel
    assert all(answer["memory_mb"] > 5 and answer["seconds"] > 0 for answer in answers)
