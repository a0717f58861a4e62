from benchmarks.analyze import draw_faces
from deepface import DeepFace


def test_the_drawn_faces_are_found() -> None:
    pictures = list(draw_faces(2, 3))
    assert [picture.shape for picture in pictures] == [(512, 1024, 3)] * 2
    assert [len(faces) for faces in DeepFace.extract_faces(pictures)] == [3, 3]
