"""``python -m deepface.cli`` is ``deepface``."""

from deepface.cli.app import main

main()
