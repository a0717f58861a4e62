"""Finding faces again: in a folder of pictures, or in a database."""
