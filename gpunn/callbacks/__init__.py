"""Callbacks of fit, evaluate and predict."""

from gpunn.callbacks.callback import Callback, CallbackList
from gpunn.callbacks.progress import ProgbarLogger
from gpunn.callbacks.standard import History, LambdaCallback, TerminateOnNaN

__all__ = [
    "Callback",
    "CallbackList",
    "History",
    "LambdaCallback",
    "ProgbarLogger",
    "TerminateOnNaN",
]
