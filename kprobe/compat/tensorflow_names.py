"""What kprobe touches of TensorFlow that isn't public, and what each name is for."""

from __future__ import annotations

from kprobe.compat.private_names import PrivateAttribute, PrivateName

# How TensorFlow runs.
EAGER_CONTEXT = PrivateName(
    "python.eager.context",
    "context",
    "holds how the graph compiler works on the functions that a thread calls",
)
FUNCTION_CALL_OPTIONS = PrivateAttribute(
    "function_call_options",
    "the eager context",
    "sets the graph compiler for one thread and nobody else",
)
CALL_OPTIONS = PrivateName(
    "python.eager.context",
    "FunctionCallOptions",
    "sets the graph compiler for one thread and nobody else",
)
OPTIMIZE_GRAPH = PrivateName(
    "python.grappler.tf_optimizer",
    "OptimizeGraph",
    "settles which layers are computed in bfloat16 before they are taken apart",
)
EAGER_MODE = PrivateName(
    "python.eager.context",
    "eager_mode",
    "computes eagerly although the user's code switched that off",
)
DISABLE_EAGER_EXECUTION = PrivateName(
    "python.framework.ops",
    "disable_eager_execution",
    "notices that the user's code switches eager execution off",
)
SHAPES_OF_NUMBERS = PrivateName(
    "python.framework.tensor_shape",
    "_TENSORSHAPE_V2_OVERRIDE",
    "makes the sizes in shapes numbers where the user's code made them objects",
)
WHILE_LOOP = PrivateName(
    "python.ops.while_loop",
    "while_loop",
    "tells the iterations of a loop apart when a model runs eagerly",
)
COMPOSITE_TENSOR = PrivateName(
    "python.framework.composite_tensor",
    "CompositeTensor",
    "tells sparse and ragged tensors from plain ones",
)

# Functions, and those restored from a SavedModel.
FUNCTION = PrivateName(
    "python.eager.polymorphic_function.polymorphic_function",
    "Function",
    "traces a `tf.function` anew wherever a model calls it",
)
CLONE = PrivateAttribute(
    "_clone", "a tf.function", "copies a `tf.function` without what it traced before"
)
RESTORED_FUNCTION = PrivateName(
    "python.saved_model.function_deserialization",
    "RestoredFunction",
    "copies a function restored from a SavedModel into the trace that calls it",
)
CALL_CONCRETE_FUNCTION = PrivateName(
    "python.saved_model.function_deserialization",
    "_call_concrete_function",
    "copies a function restored from a SavedModel into the trace that calls it",
)
CALL_FLAT = PrivateAttribute(
    "_call_flat",
    "a concrete function",
    "runs a concrete function, or kprobe's stand-in for one",
)
DEFAULT_VALUES = PrivateAttribute(
    "_default_values",
    "a tf.function",
    "completes the arguments of a function restored from a SavedModel",
)
CANONICALIZE_INPUTS = PrivateName(
    "python.eager.polymorphic_function.function_type_utils",
    "canonicalize_function_inputs",
    "puts the arguments of a function restored from a SavedModel in order",
)
VARIABLE_ACCESSED = PrivateName(
    "python.ops.resource_variable_ops",
    "variable_accessed",
    "reports to a graph the variables in what is copied into it",
)
ARGUMENT_NAMES = PrivateAttribute(
    "_arg_keywords", "a signature of a SavedModel", "names the inputs of a signature"
)
POSITIONAL_ARGUMENTS = PrivateAttribute(
    "_num_positional_args",
    "a signature of a SavedModel",
    "lets a frozen graph be called with its inputs by name, as a signature is",
)

# Graphs.
FUNCTION_DEF_TO_GRAPH = PrivateName(
    "python.framework.function_def_to_graph",
    "function_def_to_graph",
    "opens a function of a graph's library",
)
FUNCTIONS = PrivateAttribute(
    "_functions", "a graph", "tells which function of the library was traced from which graph"
)
CACHED_GRAPH = PrivateAttribute(
    "_cached_graph",
    "a function of a graph",
    "tells which function of the library was traced from which graph",
)
OPERATION_NUMBER = PrivateAttribute(
    "_id", "an operation", "tells whether a layer's call made an operation"
)
CONTROL_FLOW_CONTEXT = PrivateAttribute(
    "_get_control_flow_context",
    "an operation",
    "tells what lies in a loop as TensorFlow 1 wrote them",
)

# Of the graph of a function: its class isn't public. Its `inputs`, `outputs` and `variables` are
# those that the function itself has in public.
OUTER_GRAPH = PrivateAttribute(
    "outer_graph", "the graph of a function", "tells from which graph another is traced"
)
CAPTURES = PrivateAttribute(
    "captures",
    "the graph of a function",
    "tells what a trace takes from outside, such as the variables of the model",
)
CAPTURE = PrivateAttribute(
    "capture", "the graph of a function", "passes variables into a graph that is put together"
)
CONTROL_OUTPUTS = PrivateAttribute(
    "control_outputs",
    "the graph of a function",
    "keeps what a function restored from a SavedModel does besides its results",
)

# Variables.
VARIABLE_NAME = PrivateAttribute(
    "_handle_name", "a variable", "lets a weight's path say the names that its layers have"
)

# What TensorFlow writes.
TENSOR_PROTO = PrivateName(
    "core.framework.tensor_pb2", "TensorProto", "reads tensors that a TFRecord holds as bytes"
)
PROFILE = PrivateName(
    "tsl.profiler.protobuf.xplane_pb2", "XSpace", "reads the profile that TensorFlow wrote"
)
