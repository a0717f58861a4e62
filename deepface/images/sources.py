"""Whatever a stream is given, as pictures: folders and videos among them are opened up."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sized
from typing import Any

import numpy as np

from deepface.arguments import whole
from deepface.errors import as_ours
from deepface.images.batch import Batch, holds_its_items, is_image, open_batch
from deepface.images.files import has_suffix_of_picture, named_as_images
from deepface.images.paths import is_folder, path_name, path_of
from deepface.images.video import BrokenVideo, is_video, iter_frames


def open_sources(sources: Any, every: int = 1) -> Batch:
    """The pictures of ``sources``, in order; never ``single``.

    Args:
        sources: what :func:`open_batch` takes, any other iterable of pictures, a folder (its
            pictures and those of the folders below), or a video (its frames). Folders and videos
            can stand in a list, too.
        every: only every n-th frame of a video.
    """
    every = whole("every", every)
    is_iterable = isinstance(sources, Iterable) and not isinstance(sources, np.ndarray)
    is_one = open_batch(sources).single and (not is_iterable or is_image(sources))
    items: Iterable[Any] = [sources] if is_one else sources
    total = len(items) if isinstance(items, Sized) else None
    if total is not None and any(is_video(item) or _is_folder(item) for item in items):
        total = None
    kept = holds_its_items(items)
    return Batch(pictures_of(items, every), total, kept=kept, live=not kept)


def _is_folder(item: object) -> bool:
    # A picture's name needs no look at the disk: of 100,000 on a network each takes its time.
    path = path_of(item)
    return path is not None and not has_suffix_of_picture(path) and is_folder(path)


def pictures_of(items: Iterable[Any], every: int = 1) -> Iterator[Any]:
    """The items, with folders and videos among them opened up; see :func:`open_sources`.

    A :class:`BrokenVideo` stands for one that cannot be.
    """
    for item in items:
        try:
            if _is_folder(item):
                # By name alone: a broken file is an error of its own, and no file is read twice.
                yield from named_as_images(item, aloud=True)
            elif is_video(item):
                yield from iter_frames(item, every)
            else:
                yield item
        except Exception as error:
            name = path_name(os.fsdecode(item))
            yield BrokenVideo(name, as_ours(error, f"Exception while loading {name}"))
