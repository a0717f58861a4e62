"""Speed, memory and recall, measured; ``python -m benchmarks --help`` lists the commands."""
