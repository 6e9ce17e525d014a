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
_APPLICATION_CLASSES = frozenset({"LayerScale", "RelativePositionEmbedding"})
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

# Layers that run code, another model or an arbitrary operation that the config chooses.
UNSAFE_CLASSES = {
    "Lambda": "runs Python code",
    "__lambda__": "runs Python code",
    "TFSMLayer": "loads and runs a SavedModel from a path",
    "TorchModuleWrapper": "loads a pickle",
    "FlaxLayer": "runs Python code",
    "JaxLayer": "runs Python code",
    "ModuleWrapper": "runs Python code",
    "DenseFeatures": "may read files that the config names",
    "SequenceFeatures": "may read files that the config names",
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

_TYPE_SPEC_MODULE = re.compile(r"(tensorflow\.python|keras|tf_keras)(\.[a-z0-9_]+)+\Z", re.ASCII)
_TYPE_SPEC_NAME = re.compile(r"[A-Z][A-Za-z]*Spec\Z", re.ASCII)

# The attributes that tf_keras itself lets `x.name` and `x.name(...)` in a functional model be,
# from the end of tf_keras/src/layers/core/tf_op_layer.py.
INSTANCE_ATTRIBUTES = frozenset(
    {
        "bounding_shape",
        "dense_shape",
        "flat_values",
        "indices",
        "merge_dims",
        "nested_row_lengths",
        "nested_row_splits",
        "nested_value_rowids",
        "nrows",
        "row_lengths",
        "row_limits",
        "row_splits",
        "row_starts",
        "to_sparse",
        "to_tensor",
        "value_rowids",
        "values",
        "with_flat_values",
        "with_row_splits_dtype",
        "with_values",
    }
)
CLASS_METHODS = frozenset(
    {
        "from_nested_row_lengths",
        "from_nested_row_splits",
        "from_nested_value_rowids",
        "from_row_lengths",
        "from_row_limits",
        "from_row_splits",
        "from_row_starts",
        "from_sparse",
        "from_tensor",
        "from_uniform_row_length",
        "from_value_rowids",
    }
)

# TensorFlow's namespaces whose functions turn tensors into tensors and do nothing else.
_TENSOR_NAMESPACES = _words(
    """
    __operators__ audio bitwise dtypes image linalg math math.special nn quantization ragged
    random sets signal sparse strings
    """
)
# Among them: these take functions, or change the state of the process.
_TENSOR_EXCEPTIONS = frozenset(
    {
        "ragged.map_flat_values",
        "random.get_global_generator",
        "random.set_global_generator",
        "random.set_random_seed",
        "random.set_seed",
        "sparse.map_values",
        "nn.dynamic_rnn",
        "nn.raw_rnn",
        "nn.static_rnn",
        "nn.static_state_saving_rnn",
        "nn.with_space_to_batch",
    }
)
_TENSOR_FUNCTIONS = _words(
    """
    abs acos acosh add add_n approx_top_k argmax argmin argsort as_string asin asinh atan atan2
    atanh batch_gather batch_to_space batch_to_space_nd bitcast boolean_mask
    broadcast_dynamic_shape broadcast_static_shape broadcast_to cast ceil clip_by_global_norm
    clip_by_norm clip_by_value complex concat constant conv convert_to_tensor cos cosh cumprod
    cumsum debugging.check_numerics depth_to_space diag diag_part digamma div divide
    dynamic_partition dynamic_stitch edit_distance eig eigvals einsum ensure_shape equal erf erfc
    exp expand_dims expm1 extract_volume_patches eye fftnd fill fingerprint floor floordiv
    floormod gather gather_nd greater greater_equal guarantee_const histogram_fixed_width
    histogram_fixed_width_bins identity identity_n ifftnd imag invert_permutation irfftnd
    is_finite is_inf is_nan less less_equal lgamma linspace log log1p log_sigmoid logical_and
    logical_not logical_or logical_xor matmul matrix_band_part matrix_diag matrix_diag_part
    matrix_square_root maximum meshgrid minimum mod multinomial multiply negative norm not_equal
    one_hot ones ones_like pad parallel_stack pow random_index_shuffle random_normal
    random_uniform range rank real realdiv reciprocal reduce_all reduce_any reduce_logsumexp
    reduce_max reduce_mean reduce_min reduce_prod reduce_sum repeat
    required_space_to_batch_paddings reshape reverse reverse_sequence reverse_v2 rfftnd rint roll
    round rsqrt saturate_cast scalar_mul scatter_nd searchsorted segment_max segment_mean
    segment_min segment_prod segment_sum sequence_mask shape shape_n sigmoid sign sin sinh size
    slice softmax softplus softsign sort space_to_batch space_to_batch_nd space_to_depth split
    sqrt square squared_difference squeeze stack stop_gradient strided_slice subtract tan tanh
    tensor_scatter_nd_add tensor_scatter_nd_max tensor_scatter_nd_min tensor_scatter_nd_sub
    tensor_scatter_nd_update tensordot tile to_float to_int32 to_int64 trace transpose truediv
    truncatediv truncatemod unique unique_with_counts unravel_index unsorted_segment_max
    unsorted_segment_mean unsorted_segment_min unsorted_segment_prod unsorted_segment_sqrt_n
    unsorted_segment_sum unstack where where_v2 zeros zeros_like
    """
)
# Operations that `TensorFlowOpLayer` (TensorFlow 2.0 to 2.3) wrapped in honest models.
TENSOR_OPERATIONS = _words(
    """
    Abs Add AddN AddV2 ArgMax ArgMin AvgPool BatchMatMul BatchMatMulV2 BiasAdd BroadcastTo Cast
    Ceil ClipByValue Concat ConcatV2 Conv2D Cos Cumsum DepthToSpace Div DivNoNan Einsum Elu Equal
    Erf Exp ExpandDims Fill Floor FloorDiv FloorMod Gather GatherNd GatherV2 Greater GreaterEqual
    Identity IsFinite IsNan L2Loss LeakyRelu Less LessEqual Log Log1p LogSoftmax LogicalAnd
    LogicalNot LogicalOr MatMul Max MaxPool Maximum Mean Min Minimum MirrorPad Mul Neg NotEqual
    OneHot OnesLike Pack Pad PadV2 Pow Prod Range Rank RealDiv Reciprocal Relu Relu6 Reshape
    ResizeBilinear ResizeNearestNeighbor ReverseV2 Round Rsqrt ScatterNd Select SelectV2 Selu
    Shape Sigmoid Sign Sin Size Slice Softmax Softplus Softsign SpaceToDepth Split SplitV Sqrt
    Square SquaredDifference Squeeze StopGradient StridedSlice Sub Sum Tan Tanh Tile TopKV2
    Transpose Unpack Where ZerosLike
    """
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
# Their functions, which configs call `builtins`.
FUNCTIONS = _words(
    """
    binary_accuracy binary_crossentropy binary_focal_crossentropy categorical_accuracy
    categorical_crossentropy categorical_focal_crossentropy categorical_generalized_cross_entropy
    categorical_hinge celu circle concordance_correlation constant cosine_similarity ctc dice elu
    exponential gelu glorot_normal glorot_uniform glu hard_shrink hard_sigmoid hard_silu
    hard_swish hard_tanh he_normal he_uniform hinge huber identity kl_divergence kld
    kullback_leibler_divergence l1 l1_l2 l2 leaky_relu lecun_normal lecun_uniform linear log_cosh
    log_sigmoid log_softmax logcosh mae mape max_norm mean_absolute_error
    mean_absolute_percentage_error mean_squared_error mean_squared_logarithmic_error min_max_norm
    mish mse msle non_neg ones orthogonal orthogonal_regularizer pearson_correlation poisson
    radial_constraint random_normal random_uniform relu relu6 selu sigmoid silu soft_shrink
    softmax softplus softsign sparse_categorical_accuracy sparse_categorical_crossentropy
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


def allows_type_spec(module: str, name: str) -> bool:
    """Tell whether a class describes the type of an input."""
    return bool(_TYPE_SPEC_MODULE.match(module) and _TYPE_SPEC_NAME.match(name))


def allows_tensor_function(symbol: str) -> bool:
    """Tell whether a TensorFlow symbol only turns tensors into tensors, e.g. "math.add"."""
    for prefix in ("compat.v1.", "compat.v2."):
        symbol = symbol.removeprefix(prefix)
    if symbol in _TENSOR_FUNCTIONS:
        return True
    namespace, _, name = symbol.rpartition(".")
    return (
        namespace in _TENSOR_NAMESPACES
        and name.isidentifier()
        # Classes begin with a capital; `random.Generator` has state.
        and not name[0].isupper()
        and symbol not in _TENSOR_EXCEPTIONS
    )
