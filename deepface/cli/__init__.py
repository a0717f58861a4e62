"""The command line: ``deepface extract photos/ --output faces.csv``.

Another door to the same pipeline. Only ``click`` is imported until a command runs, so that help
comes at once.
"""
