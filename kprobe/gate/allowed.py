"""What a model's config may name: tables for `kprobe.gate.refuse`.

Everything is listed that honest models use, rather than what is known to do harm: the loaders
look names up in whole modules, and new releases add to them.
"""

from __future__ import annotations

import re


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Roots under which Keras's own modules are found, the longest first.
_ROOTS = (
    "tensorflow.python.keras.",
    "tensorflow.keras.",
    "keras.api._v2.keras.",
    "keras.api.",
    "tf_keras.src.",
    "tf_keras.",
    "keras.src.",
    "keras.",
)

# The parts of Keras whose classes models are made of. `utils`, `config`, `saving`, `callbacks`
# and others would read files, fetch from the network or switch safe mode off.
_CLASS_PARTS = frozenset(
    {
        "activations",
        "constraints",
        "dtype_policies",
        "engine",
        "initializers",
        "layers",
        "losses",
        "metrics",
        "mixed_precision",
        "models",
        "ops",
        "optimizers",
        "quantizers",
        "random",
        "regularizers",
        "_legacy",
        "legacy_tf_layers",
        "premade_models",
    }
)
# `keras.applications` also has functions that fetch weights; these are layers.
_APPLICATION_CLASSES = _words(
    "CustomScaleLayer LayerScale RelativePositionEmbedding StochasticDepth"
)
# Modules below the root that have functions, of all versions: the loaders import what is named.
_FUNCTION_MODULES = _words(
    """
    activations activations.activations constraints constraints.constraints
    initializers initializers.constant_initializers initializers.initializers
    initializers.initializers_v1 initializers.initializers_v2 initializers.random_initializers
    losses losses.losses
    metrics metrics.accuracy_metrics metrics.base_metric metrics.confusion_metrics
    metrics.correlation_metrics metrics.f_score_metrics metrics.hinge_metrics metrics.iou_metrics
    metrics.metrics metrics.probabilistic_metrics metrics.reduction_metrics
    metrics.regression_metrics
    ops ops.core ops.einops ops.image ops.linalg ops.math ops.nn ops.numpy
    regularizers regularizers.regularizers
    """
)
_CLASS_NAME = re.compile(r"[A-Z][A-Za-z0-9_]*\Z", re.ASCII)
_FUNCTION_NAME = re.compile(r"[a-z][a-z0-9_]*\Z", re.ASCII)
_MACHINERY = _words(
    """
    deserialize deserialize_keras_object get keras_export name_scope register serialize
    serialize_keras_object
    """
)

# Layers that run code, another model or an arbitrary operation that the config chooses: by name,
# the rule that they break, and what they do.
UNSAFE_CLASSES = {
    "Lambda": ("code-lambda", "runs Python code"),
    "__lambda__": ("code-lambda", "runs Python code"),
    "TFSMLayer": ("code-savedmodel", "loads and runs a SavedModel from a path"),
    "TorchModuleWrapper": ("code-torch", "loads a pickle"),
    "FlaxLayer": ("code-wrapped", "runs Python code"),
    "JaxLayer": ("code-wrapped", "runs Python code"),
    "ModuleWrapper": ("code-wrapped", "runs Python code"),
    "DenseFeatures": ("config-files", "may read files that the config names"),
    "SequenceFeatures": ("config-files", "may read files that the config names"),
}

# Forms that are data, not objects of a class.
DATA_FORMS = frozenset(
    {
        "__bytes__",
        "__ellipsis__",
        "__keras_tensor__",
        "__numpy__",
        "__slice__",
        "__tensor__",
        "__tuple__",
        "CompositeTensor",
        "TensorShape",
        "TypeSpec",
    }
)

# The layer classes of keras 3.15 and tf_keras 2.21 by name, for configs that say no module.
LAYER_CLASSES = _words(
    """
    AbstractRNNCell Activation ActivityRegularization AdaptiveAveragePooling1D
    AdaptiveAveragePooling2D AdaptiveAveragePooling3D AdaptiveMaxPooling1D AdaptiveMaxPooling2D
    AdaptiveMaxPooling3D Add AddLoss AddMetric AdditiveAttention AlphaDropout Attention AugMix
    AutoContrast Average AveragePooling1D AveragePooling2D AveragePooling3D AvgPool1D AvgPool2D
    AvgPool3D BaseRandomLayer BatchNormalization BatchNormalizationBase BatchNormalizationV1
    BatchNormalizationV2 Bidirectional CategoryEncoding CenterCrop ClassMethod Concatenate
    ContrastLimitedAdaptiveHistogramEqualization Conv1D Conv1DTranspose Conv2D Conv2DTranspose
    Conv3D Conv3DTranspose ConvLSTM1D ConvLSTM2D ConvLSTM3D Convolution1D Convolution1DTranspose
    Convolution2D Convolution2DTranspose Convolution3D Convolution3DTranspose Cropping1D
    Cropping2D Cropping3D CuDNNGRU CuDNNLSTM CutMix Dense DepthwiseConv1D DepthwiseConv2D
    DeviceWrapper Discretization Dot Dropout DropoutWrapper ELU EinsumDense Embedding Equalization
    Flatten Functional GRU GRUCell GRUCellV1 GRUCellV2 GRUV1 GRUV2 GaussianDropout GaussianNoise
    GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D GlobalAvgPool1D
    GlobalAvgPool2D GlobalAvgPool3D GlobalMaxPool1D GlobalMaxPool2D GlobalMaxPool3D
    GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D GroupNormalization
    GroupQueryAttention GroupedQueryAttention HashedCrossing Hashing Identity IndexLookup
    InputLayer InputSpec InstanceMethod InstanceProperty IntegerLookup LSTM LSTMCell LSTMCellV1
    LSTMCellV2 LSTMV1 LSTMV2 Layer LayerNormalization LeakyReLU LinearModel LocallyConnected1D
    LocallyConnected2D Masking MaxNumBoundingBoxes MaxPool1D MaxPool2D MaxPool3D MaxPooling1D
    MaxPooling2D MaxPooling3D Maximum MelSpectrogram Minimum MixUp Model MultiHeadAttention
    Multiply Normalization PReLU Permute Pipeline RMSNormalization RNN RandAugment
    RandomBrightness RandomColorDegeneration RandomColorJitter RandomContrast RandomCrop
    RandomElasticTransform RandomErasing RandomFlip RandomGaussianBlur RandomGrayscale
    RandomHeight RandomHue RandomInvert RandomPerspective RandomPosterization RandomRotation
    RandomSaturation RandomSharpness RandomShear RandomTranslation RandomWidth RandomZoom ReLU
    RepeatVector Rescaling Reshape ResidualWrapper Resizing ReversibleEmbedding STFTSpectrogram
    SeparableConv1D SeparableConv2D SeparableConvolution1D SeparableConvolution2D Sequential
    SimpleRNN SimpleRNNCell SlicingOpLambda Softmax Solarization SpatialDropout1D SpatialDropout2D
    SpatialDropout3D SpectralNormalization StackedRNNCells StringLookup Subtract
    SyncBatchNormalization TFOpLambda TensorFlowOpLayer TextVectorization ThresholdedReLU
    TimeDistributed UnitNormalization UpSampling1D UpSampling2D UpSampling3D WideDeepModel Wrapper
    ZeroPadding1D ZeroPadding2D ZeroPadding3D
    """
)
# Their functions, which configs call `builtins`; `softmax_v2` is what `tf.nn.softmax` calls itself.
FUNCTIONS = _words(
    """
    binary_accuracy binary_crossentropy binary_focal_crossentropy categorical_accuracy
    categorical_crossentropy categorical_focal_crossentropy categorical_generalized_cross_entropy
    categorical_hinge celu circle concordance_correlation constant cosine_similarity ctc dice elu
    exponential gelu glorot_normal glorot_uniform glu hard_shrink hard_sigmoid hard_silu
    hard_swish hard_tanh he_normal he_uniform hinge huber identity kl_divergence kld
    kullback_leibler_divergence l1 l1_l2 l2 leaky_relu lecun_normal lecun_uniform linear log_cosh
    log_sigmoid log_softmax log_softmax_v2 logcosh mae mape max_norm mean_absolute_error
    mean_absolute_percentage_error mean_squared_error mean_squared_logarithmic_error min_max_norm
    mish mse msle non_neg ones orthogonal orthogonal_regularizer pearson_correlation poisson
    radial_constraint random_normal random_uniform relu relu6 selu sigmoid silu soft_shrink
    softmax softmax_v2 softplus softsign sparse_categorical_accuracy sparse_categorical_crossentropy
    sparse_plus sparse_sigmoid sparse_top_k_categorical_accuracy sparsemax squared_hinge
    squareplus stft swish tanh tanh_shrink threshold top_k_categorical_accuracy truncated_normal
    tversky unit_norm variance_scaling zeros
    """
)


def split_module(module: str) -> str | None:
    """Take Keras's root off a module's name.

    Args:
        module: E.g. "keras.src.layers.core.dense".

    Returns:
        What is below the root, e.g. "layers.core.dense", "" for the root itself; None if the
        module isn't Keras's own.
    """
    for root in _ROOTS:
        if module + "." == root or module.startswith(root):
            return module[len(root) :]
    return None


def allows_class(module: str, name: str) -> bool:
    """Tell whether a class of Keras's own modules may be part of a model."""
    below = split_module(module)
    if below is None or not _CLASS_NAME.match(name):
        return False
    part = below.split(".")[0]
    if part == "applications":
        return name in _APPLICATION_CLASSES
    return part == "" or part in _CLASS_PARTS


def allows_function(module: str, name: str) -> bool:
    """Tell whether a function of Keras's own modules may be part of a model."""
    below = split_module(module)
    return (
        below is not None
        and below in _FUNCTION_MODULES
        and bool(_FUNCTION_NAME.match(name))
        and name not in _MACHINERY
    )
