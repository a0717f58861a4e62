"""Galleries: the faces of a folder of pictures, kept in a datastore file beside them."""

from deepface.search.folder.datastore import Datastore
from deepface.search.folder.gallery import Face, Gallery, GalleryPicture
from deepface.search.folder.refresh import Embed, refresh

__all__ = ["Datastore", "Embed", "Face", "Gallery", "GalleryPicture", "refresh"]
