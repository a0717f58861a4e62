"""Age, gender, emotion and race of a face, one file each."""
