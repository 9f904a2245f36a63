"""gpunn beside PyTorch, JAX and Keras: the same training on the same machine in one run.

    python -m benchmarks [names...] [--quick] [--threads N] [--device cpu|gpu] [--json PATH]

See benchmarks/README.md for how to run and read it.
"""
