"""The version of gpunn."""

__version__ = "0.1.0"
