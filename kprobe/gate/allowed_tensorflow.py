"""What a model's config may name of TensorFlow: tables for `kprobe.gate.refuse`.

All is listed with the module that it comes from. tf_keras imports the module that a config names.
"""

from __future__ import annotations

import re


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


def allows_initializer(module: str, name: str) -> bool:
    """Tell whether a class of TensorFlow's is an initializer."""
    return name in INITIALIZERS.get(module, ())


def allows_activation(module: str, name: str) -> bool:
    """Tell whether a function of TensorFlow's turns one tensor into one."""
    return name in ACTIVATIONS.get(module, ())


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
