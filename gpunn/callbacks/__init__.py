"""Callbacks of fit, evaluate and predict."""

from gpunn.callbacks.backup import BackupAndRestore
from gpunn.callbacks.callback import Callback, CallbackList
from gpunn.callbacks.checkpoint import ModelCheckpoint
from gpunn.callbacks.early_stopping import EarlyStopping
from gpunn.callbacks.ema import SwapEMAWeights
from gpunn.callbacks.learning_rate import LearningRateScheduler, ReduceLROnPlateau
from gpunn.callbacks.progress import ProgbarLogger
from gpunn.callbacks.reports import CSVLogger, RemoteMonitor
from gpunn.callbacks.standard import History, LambdaCallback, TerminateOnNaN
from gpunn.callbacks.tensorboard import TensorBoard

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "RemoteMonitor",
    "SwapEMAWeights",
    "TensorBoard",
    "TerminateOnNaN",
]
