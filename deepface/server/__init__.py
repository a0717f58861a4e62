"""The service: REST and gRPC, with batches across callers. Run it with ``deepface serve``."""
