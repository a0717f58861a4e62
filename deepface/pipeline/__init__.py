"""The whole walk: sources to pictures to faces to results, one batch after the other.

The only room that knows every other. Nothing here holds more pictures than
the batches that are being worked on: two, three where a GPU decodes.
"""

from deepface.pipeline.face_pipeline import FacePipeline, StreamItem
from deepface.pipeline.find import Found, GallerySearch
from deepface.pipeline.options import Options
from deepface.search.query import Query

__all__ = ["FacePipeline", "Found", "GallerySearch", "Options", "Query", "StreamItem"]
