"""What a model's config may name of TensorFlow: tables for `kprobe.gate.refuse`.

All is listed with the module that it comes from. tf_keras imports the module that a config names.
"""

from __future__ import annotations

from kprobe.gate.names.allowed import read_list


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# TensorFlow's initializers, which layers may be given in the place of Keras's.
INITIALIZERS = {
    "tensorflow.python.ops.init_ops_v2": _words(
        """
        Constant GlorotNormal GlorotUniform Identity Ones Orthogonal RandomNormal RandomUniform
        TruncatedNormal VarianceScaling Zeros
        """
    ),
    "tensorflow.python.ops.init_ops": _words(
        """
        Constant ConvolutionDeltaOrthogonal ConvolutionOrthogonal1D ConvolutionOrthogonal2D
        ConvolutionOrthogonal3D GlorotNormal GlorotUniform Identity Ones Orthogonal RandomNormal
        RandomUniform TruncatedNormal UniformUnitScaling VarianceScaling Zeros
        """
    ),
}
# Its functions of one tensor, which layers are given as activations, and the user's files pass on.
# Configs tell their names alone.
ACTIVATIONS = {
    "tensorflow.python.ops.array_ops": _words("identity stop_gradient"),
    "tensorflow.python.ops.gen_array_ops": _words("identity stop_gradient"),
    "tensorflow.python.ops.gen_math_ops": _words(
        """
        acos acosh asin asinh atan atanh ceil cos cosh digamma erf erfc exp expm1 floor lgamma log
        log1p neg reciprocal rint round rsqrt sigmoid sign sin sinh sqrt square tan tanh
        """
    ),
    "tensorflow.python.ops.gen_nn_ops": _words(
        "elu leaky_relu log_softmax relu relu6 selu softmax softplus softsign"
    ),
    "tensorflow.python.ops.math_ops": _words(
        """
        abs acos ceil erfcinv erfinv exp floor log_sigmoid ndtri reciprocal_no_nan round
        rsqrt sigmoid sign softplus sqrt
        """
    ),
    "tensorflow.python.ops.nn_impl": _words("l2_normalize swish"),
    "tensorflow.python.ops.nn_ops": _words(
        """
        crelu crelu_v2 gelu leaky_relu log_softmax log_softmax_v2 relu6 softmax softmax_v2
        """
    ),
}

# The types of inputs, in the modules that had them since TensorFlow 2.0.
_TYPE_SPECS = {
    "tensorflow.python.data.ops.optional_ops": _words("OptionalSpec"),
    "tensorflow.python.framework.indexed_slices": _words("IndexedSlicesSpec"),
    "tensorflow.python.framework.sparse_tensor": _words("SparseTensorSpec"),
    "tensorflow.python.framework.tensor": _words("TensorSpec"),
    "tensorflow.python.framework.tensor_spec": _words("TensorSpec"),
    "tensorflow.python.ops.ragged.ragged_tensor": _words("RaggedTensorSpec"),
    "tensorflow.python.ops.ragged.row_partition": _words("RowPartitionSpec"),
    "tensorflow.python.ops.structured.structured_tensor": _words("StructuredTensorSpec"),
    "tensorflow.python.ops.tensor_array_ops": _words("TensorArraySpec"),
}

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

# The classes of feature columns, which `DenseFeatures` of TensorFlow 2 is made of.
FEATURE_COLUMNS = _words(
    """
    BucketizedColumn CrossedColumn EmbeddingColumn HashedCategoricalColumn
    IdentityCategoricalColumn IndicatorColumn NumericColumn SequenceCategoricalColumn
    SequenceNumericColumn SharedEmbeddingColumn VocabularyFileCategoricalColumn
    VocabularyListCategoricalColumn WeightedCategoricalColumn
    """
)
# What names files in them.
FEATURE_FILES = ("ckpt_to_load_from", "vocabulary_file")

_TENSOR_FUNCTIONS = frozenset(row[1] for row in read_list("tensor_functions"))
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


def allows_initializer(module: str, name: str) -> bool:
    """Tell whether a class of TensorFlow's is an initializer."""
    return name in INITIALIZERS.get(module, ())


def allows_without_module(name: str) -> bool:
    """Tell whether a class of TensorFlow's is named by older configs, without its module."""
    return name in FEATURE_COLUMNS or any(name in names for names in INITIALIZERS.values())


def allows_activation(module: str, name: str) -> bool:
    """Tell whether a function of TensorFlow's turns one tensor into one."""
    return name in ACTIVATIONS.get(module, ())


def allows_type_spec(module: str, name: str) -> bool:
    """Tell whether a class describes the type of an input."""
    return name in _TYPE_SPECS.get(module, ())


def allows_tensor_function(symbol: str) -> bool:
    """Tell whether a TensorFlow symbol only turns tensors into tensors, e.g. "math.add"."""
    for prefix in ("compat.v1.", "compat.v2."):
        symbol = symbol.removeprefix(prefix)
    return symbol in _TENSOR_FUNCTIONS
