"""Layers. Keras' names, arguments and defaults."""

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

from gpunn import objects
from gpunn.layers.activation import ELU, LeakyReLU, PReLU, ReLU, Softmax
from gpunn.layers.adaptive_pooling import (
    AdaptiveAveragePooling1D,
    AdaptiveAveragePooling2D,
    AdaptiveAveragePooling3D,
    AdaptiveMaxPooling1D,
    AdaptiveMaxPooling2D,
    AdaptiveMaxPooling3D,
)
from gpunn.layers.attention import AdditiveAttention, Attention
from gpunn.layers.augmentation import RandomCrop, RandomFlip
from gpunn.layers.augmentation_blur import RandomGaussianBlur, RandomSharpness
from gpunn.layers.augmentation_clahe import ContrastLimitedAdaptiveHistogramEqualization
from gpunn.layers.augmentation_color import (
    RandomBrightness,
    RandomColorDegeneration,
    RandomContrast,
)
from gpunn.layers.augmentation_elastic import RandomElasticTransform
from gpunn.layers.augmentation_geometry import RandomRotation, RandomTranslation, RandomZoom
from gpunn.layers.augmentation_hue import (
    RandomColorJitter,
    RandomGrayscale,
    RandomHue,
    RandomInvert,
    RandomSaturation,
)
from gpunn.layers.augmentation_mixing import CutMix, MixUp, RandomErasing
from gpunn.layers.augmentation_policy import AugMix, RandAugment
from gpunn.layers.augmentation_shear import RandomPerspective, RandomShear
from gpunn.layers.augmentation_tone import (
    AutoContrast,
    Equalization,
    RandomPosterization,
    Solarization,
)
from gpunn.layers.bidirectional import Bidirectional
from gpunn.layers.conv_lstm import ConvLSTM1D, ConvLSTM2D, ConvLSTM3D
from gpunn.layers.convolution import Conv1D, Conv2D, Conv3D
from gpunn.layers.convolution_depthwise import (
    DepthwiseConv1D,
    DepthwiseConv2D,
    SeparableConv1D,
    SeparableConv2D,
)
from gpunn.layers.convolution_transpose import Conv1DTranspose, Conv2DTranspose, Conv3DTranspose
from gpunn.layers.core import Activation, Dense, Identity, Lambda
from gpunn.layers.dot_product import Dot, dot
from gpunn.layers.einsum_dense import EinsumDense
from gpunn.layers.embedding import Embedding, Masking
from gpunn.layers.embedding_reversible import ReversibleEmbedding
from gpunn.layers.global_pooling import (
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalAveragePooling3D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    GlobalMaxPooling3D,
)
from gpunn.layers.group_query_attention import GroupQueryAttention
from gpunn.layers.input import Input, InputLayer
from gpunn.layers.input_spec import InputSpec
from gpunn.layers.layer import Layer
from gpunn.layers.merging import (
    Add,
    Average,
    Concatenate,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
    add,
    average,
    concatenate,
    maximum,
    minimum,
    multiply,
    subtract,
)
from gpunn.layers.multi_head_attention import MultiHeadAttention
from gpunn.layers.normalization import BatchNormalization
from gpunn.layers.normalization_features import (
    GroupNormalization,
    LayerNormalization,
    RMSNormalization,
    UnitNormalization,
)
from gpunn.layers.normalization_spectral import SpectralNormalization
from gpunn.layers.padding import (
    Cropping1D,
    Cropping2D,
    Cropping3D,
    UpSampling1D,
    UpSampling2D,
    UpSampling3D,
    ZeroPadding1D,
    ZeroPadding2D,
    ZeroPadding3D,
)
from gpunn.layers.pipeline import Pipeline
from gpunn.layers.pooling import (
    AveragePooling1D,
    AveragePooling2D,
    AveragePooling3D,
    MaxPooling1D,
    MaxPooling2D,
    MaxPooling3D,
)
from gpunn.layers.preprocessing import CenterCrop, Normalization, Rescaling, Resizing
from gpunn.layers.regularization import (
    ActivityRegularization,
    AlphaDropout,
    Dropout,
    GaussianDropout,
    GaussianNoise,
)
from gpunn.layers.reshaping import Flatten, Permute, RepeatVector, Reshape
from gpunn.layers.rnn import RNN, StackedRNNCells
from gpunn.layers.rnn_cells import GRUCell, LSTMCell, SimpleRNNCell
from gpunn.layers.rnn_fused import GRU, LSTM, SimpleRNN
from gpunn.layers.spatial_dropout import SpatialDropout1D, SpatialDropout2D, SpatialDropout3D
from gpunn.layers.spectrograms import MelSpectrogram, STFTSpectrogram
from gpunn.layers.text_crossing import HashedCrossing
from gpunn.layers.text_discretization import Discretization
from gpunn.layers.text_encoding import CategoryEncoding, Hashing
from gpunn.layers.text_lookups import IntegerLookup, StringLookup
from gpunn.layers.text_vectorization import TextVectorization
from gpunn.layers.time_distributed import TimeDistributed
from gpunn.layers.wrapper import Wrapper
from gpunn.objects import CustomObjectScope, by_names, lookup

Convolution1D = Conv1D
Convolution2D = Conv2D
Convolution3D = Conv3D
Convolution1DTranspose = Conv1DTranspose
Convolution2DTranspose = Conv2DTranspose
Convolution3DTranspose = Conv3DTranspose
SeparableConvolution1D = SeparableConv1D
SeparableConvolution2D = SeparableConv2D
AvgPool1D = AveragePooling1D
AvgPool2D = AveragePooling2D
AvgPool3D = AveragePooling3D
GlobalAvgPool1D = GlobalAveragePooling1D
GlobalAvgPool2D = GlobalAveragePooling2D
GlobalAvgPool3D = GlobalAveragePooling3D
GlobalMaxPool1D = GlobalMaxPooling1D
GlobalMaxPool2D = GlobalMaxPooling2D
GlobalMaxPool3D = GlobalMaxPooling3D
MaxPool1D = MaxPooling1D
MaxPool2D = MaxPooling2D
MaxPool3D = MaxPooling3D

_TABLE = by_names(
    AutoContrast, CutMix, EinsumDense, Equalization, HashedCrossing, MixUp, Pipeline,
    AugMix, ContrastLimitedAdaptiveHistogramEqualization, MelSpectrogram, RandAugment,
    RandomColorDegeneration, RandomElasticTransform, ReversibleEmbedding, STFTSpectrogram,
    RandomColorJitter, RandomErasing, RandomGaussianBlur, RandomGrayscale, RandomHue, RandomInvert,
    RandomPerspective, RandomPosterization, RandomSaturation, RandomSharpness, RandomShear,
    Solarization, Wrapper,
    Conv1D, Conv2D, Conv3D, Conv1DTranspose, Conv2DTranspose, Conv3DTranspose,
    DepthwiseConv1D, DepthwiseConv2D, SeparableConv1D, SeparableConv2D,
    BatchNormalization, GroupNormalization, LayerNormalization, RMSNormalization,
    SpectralNormalization, UnitNormalization,
    Activation, ActivityRegularization, Dense, Dropout, ELU, Flatten, GaussianDropout,
    GaussianNoise, Identity, InputLayer, Lambda, LeakyReLU, Permute, PReLU, ReLU, RepeatVector,
    Reshape, Softmax,
    Add, Average, Concatenate, Dot, Maximum, Minimum, Multiply, Subtract,
    Cropping1D, Cropping2D, Cropping3D, UpSampling1D, UpSampling2D, UpSampling3D,
    ZeroPadding1D, ZeroPadding2D, ZeroPadding3D,
    AlphaDropout, SpatialDropout1D, SpatialDropout2D, SpatialDropout3D,
    CenterCrop, Normalization, Rescaling, Resizing,
    CategoryEncoding, Discretization, Hashing, IntegerLookup, StringLookup, TextVectorization,
    RandomBrightness, RandomContrast, RandomCrop, RandomFlip, RandomRotation, RandomTranslation,
    RandomZoom,
    RNN, SimpleRNN, LSTM, GRU, SimpleRNNCell, LSTMCell, GRUCell, StackedRNNCells, Bidirectional,
    TimeDistributed, ConvLSTM1D, ConvLSTM2D, ConvLSTM3D,
    Embedding, Masking, Attention, AdditiveAttention, MultiHeadAttention, GroupQueryAttention,
    AdaptiveAveragePooling1D, AdaptiveAveragePooling2D, AdaptiveAveragePooling3D,
    AdaptiveMaxPooling1D, AdaptiveMaxPooling2D, AdaptiveMaxPooling3D,
    AveragePooling1D, AveragePooling2D, AveragePooling3D,
    GlobalAveragePooling1D, GlobalAveragePooling2D, GlobalAveragePooling3D,
    GlobalMaxPooling1D, GlobalMaxPooling2D, GlobalMaxPooling3D,
    MaxPooling1D, MaxPooling2D, MaxPooling3D,
    Convolution1D=Conv1D, Convolution2D=Conv2D, Convolution3D=Conv3D,
    Convolution1DTranspose=Conv1DTranspose, Convolution2DTranspose=Conv2DTranspose,
    Convolution3DTranspose=Conv3DTranspose, SeparableConvolution1D=SeparableConv1D,
    SeparableConvolution2D=SeparableConv2D,
    AvgPool1D=AveragePooling1D, AvgPool2D=AveragePooling2D,
    AvgPool3D=AveragePooling3D, GlobalAvgPool1D=GlobalAveragePooling1D,
    GlobalAvgPool2D=GlobalAveragePooling2D, GlobalAvgPool3D=GlobalAveragePooling3D,
    GlobalMaxPool1D=GlobalMaxPooling1D, GlobalMaxPool2D=GlobalMaxPooling2D,
    GlobalMaxPool3D=GlobalMaxPooling3D, MaxPool1D=MaxPooling1D,
    MaxPool2D=MaxPooling2D, MaxPool3D=MaxPooling3D,
)  # fmt: skip


def make_known(*classes: type, **aliases: type) -> None:
    """Let `deserialize` find these, too: models are layers of a higher floor."""
    _TABLE.update(by_names(*classes, **aliases))


def serialize(layer: Layer) -> Any:
    """``{"class_name": ..., "config": ...}`` of a layer."""
    return objects.serialize(layer)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The layer of a `serialize`; `custom_objects` adds classes by name."""
    with CustomObjectScope(custom_objects) if custom_objects else nullcontext():
        return lookup("layer", config, _TABLE)


__all__ = [
    "AugMix", "ContrastLimitedAdaptiveHistogramEqualization", "MelSpectrogram", "RandAugment",
    "RandomColorDegeneration", "RandomElasticTransform", "ReversibleEmbedding", "STFTSpectrogram",
    "AutoContrast", "CutMix", "EinsumDense", "Equalization", "HashedCrossing", "MixUp",
    "Pipeline", "RandomColorJitter", "RandomErasing", "RandomGaussianBlur", "RandomGrayscale",
    "RandomHue", "RandomInvert", "RandomPerspective", "RandomPosterization", "RandomSaturation",
    "RandomSharpness", "RandomShear", "Solarization", "Wrapper",
    "Conv1D", "Conv2D", "Conv3D", "Conv1DTranspose", "Conv2DTranspose",
    "Conv3DTranspose", "DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D",
    "Convolution1D", "Convolution2D", "Convolution3D", "Convolution1DTranspose",
    "Convolution2DTranspose", "Convolution3DTranspose", "SeparableConvolution1D",
    "SeparableConvolution2D",
    "ELU", "Activation", "ActivityRegularization", "Dense", "Dropout", "Flatten",
    "GaussianDropout", "GaussianNoise", "Identity", "Input", "InputLayer", "InputSpec", "Lambda",
    "Layer",
    "LeakyReLU", "PReLU", "Permute", "ReLU", "RepeatVector", "Reshape", "Softmax", "deserialize",
    "serialize",
    "Add", "Average", "Concatenate", "Dot", "Maximum", "Minimum", "Multiply", "Subtract",
    "add", "average", "concatenate", "dot", "maximum", "minimum", "multiply", "subtract",
    "Cropping1D", "Cropping2D", "Cropping3D", "UpSampling1D", "UpSampling2D", "UpSampling3D",
    "ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D",
    "AlphaDropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D",
    "CenterCrop", "Normalization", "Rescaling", "Resizing",
    "CategoryEncoding", "Discretization", "Hashing", "IntegerLookup", "StringLookup",
    "TextVectorization",
    "RandomBrightness", "RandomContrast", "RandomCrop", "RandomFlip", "RandomRotation",
    "RandomTranslation", "RandomZoom",
    "RNN", "SimpleRNN", "LSTM", "GRU", "SimpleRNNCell", "LSTMCell", "GRUCell", "StackedRNNCells",
    "Bidirectional", "TimeDistributed", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D",
    "Embedding", "Masking", "Attention", "AdditiveAttention", "MultiHeadAttention",
    "GroupQueryAttention",
    "AdaptiveAveragePooling1D", "AdaptiveAveragePooling2D", "AdaptiveAveragePooling3D",
    "AdaptiveMaxPooling1D", "AdaptiveMaxPooling2D", "AdaptiveMaxPooling3D",
    "AveragePooling1D", "AveragePooling2D", "AveragePooling3D",
    "AvgPool1D", "AvgPool2D", "AvgPool3D",
    "GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAveragePooling3D",
    "GlobalAvgPool1D", "GlobalAvgPool2D", "GlobalAvgPool3D",
    "GlobalMaxPool1D", "GlobalMaxPool2D", "GlobalMaxPool3D",
    "GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D",
    "MaxPool1D", "MaxPool2D", "MaxPool3D",
    "MaxPooling1D", "MaxPooling2D", "MaxPooling3D",
    "BatchNormalization", "GroupNormalization", "LayerNormalization", "RMSNormalization",
    "SpectralNormalization", "UnitNormalization",
]  # fmt: skip
