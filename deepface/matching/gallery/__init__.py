"""Galleries: the faces of a folder of pictures, kept in a datastore file beside them."""

from deepface.matching.gallery.datastore import Datastore
from deepface.matching.gallery.faces import Face, Gallery, Picture
from deepface.matching.gallery.refresh import Embed, refresh

__all__ = ["Datastore", "Embed", "Face", "Gallery", "Picture", "refresh"]
