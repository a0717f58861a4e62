"""``python -m deepface.server``."""

from deepface.server.command import main

main()
