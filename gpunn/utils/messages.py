"""What gpunn says while it runs: on the standard output, or in Python's log."""

from __future__ import annotations

from gpunn import config


def tell(message: str) -> None:
    """Print a message; with `config.disable_interactive_logging()`, log it as "gpunn"."""
    if config.is_interactive_logging_enabled():
        print(message, flush=True)
    else:
        import logging

        logging.getLogger("gpunn").info(message.strip())
