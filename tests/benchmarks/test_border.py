import pytest

from benchmarks.border import iou, match, picture_sets, scores


def test_iou() -> None:
    assert iou((0, 0, 10, 10), (0, 0, 10, 10)) == 1
    assert iou((0, 0, 10, 10), (5, 0, 10, 10)) == pytest.approx(1 / 3)
    assert iou((0, 0, 10, 10), (10, 0, 10, 10)) == 0


def test_a_detection_covers_one_face_at_most() -> None:
    faces = [(0, 0, 10, 10), (1, 0, 10, 10)]
    assert match(faces, [(1, 0, 10, 10)]) == {1}
    assert match(faces, [(1, 0, 10, 10), (0, 1, 10, 10)]) == {0, 1}
    assert match(faces, [(30, 0, 10, 10)]) == set()


def test_scores_count_large_faces_and_wrong_detections() -> None:
    annotated = [(0, 0, 20, 20), (50, 0, 20, 20), (90, 0, 9, 30)]  # the last is too narrow
    found = [(0, 0, 20, 20), (90, 0, 9, 30), (200, 0, 20, 20)]
    expected = {"faces": 2, "recall_with": 0.5, "wrong_with": 1}
    assert scores([(annotated, found)], "with") == expected


def test_pictures_of_the_commonest_size_are_a_set_of_their_own() -> None:
    truth = {name: {"stored_size": [4, 4]} for name in "ab"}
    assert list(picture_sets(truth)) == ["2 of 4×4"]
    truth["c"] = {"stored_size": [8, 4]}
    assert picture_sets(truth) == {
        "2 of 4×4": [(0, "a"), (1, "b")],
        "all 3": [(0, "a"), (1, "b"), (2, "c")],
    }
