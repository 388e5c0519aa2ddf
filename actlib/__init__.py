"""Look inside neural networks: activations, patterns, regions, aliasing, populations."""

__version__ = "0.1.0"
