"""What a model's config may name of Keras: the lists in `kprobe/gate/names/lists/`.

Everything is listed that honest models use, rather than what is known to do harm: the loaders look
names up in whole modules, and new releases add to them. Each name is listed with the modules that
have it, since tf_keras imports the module that a config names.
"""

from __future__ import annotations

from pathlib import Path

_LISTS = Path(__file__).parent / "lists"

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


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def read_list(name: str) -> list[list[str]]:
    """Read a list: the words of each line."""
    lines = (_LISTS / f"{name}.txt").read_text("ascii").splitlines()
    return [line.split() for line in lines if line and not line.startswith("#")]


# Of each kind: what is below Keras's root, and the name.
_CLASSES: set[tuple[str, str]] = set()
_FUNCTIONS: set[tuple[str, str]] = set()
_BARRED: set[tuple[str, str]] = set()
_LAYERS = set()
# By which names alone either Keras finds its own, too.
_ALIASES = set()
for _kind, _name, *_modules in (*read_list("installed"), *read_list("older")):
    if _kind == "alias":
        _ALIASES.add(_name)
        continue
    _places = {"function": _FUNCTIONS, "barred": _BARRED}.get(_kind, _CLASSES)
    for _module in _modules:
        _places.add(("" if _module == "." else _module, _name))
    if _kind == "layer" and not {".", "layers", "models"}.isdisjoint(_modules):
        _LAYERS.add(_name)

# Layers that run code, another model or an arbitrary operation that the config chooses: by name,
# the rule that they break, and what they do.
UNSAFE_CLASSES = {
    name: (rule, " ".join(reason))
    for _, name, rule, *reason in read_list("left_out")
    if rule != "-"
}
UNSAFE_CLASSES["__lambda__"] = UNSAFE_CLASSES["Lambda"]

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

# Layers that Keras doesn't export, and files name without a module.
_UNEXPORTED = _words(
    """
    AddLoss AddMetric BaseRandomLayer BatchNormalizationBase BatchNormalizationV1
    BatchNormalizationV2 ClassMethod CuDNNGRU CuDNNLSTM DeviceWrapper DropoutWrapper GRUCellV1
    GRUCellV2 GRUV1 GRUV2 GroupedQueryAttention IndexLookup InputSpec InstanceMethod
    InstanceProperty LSTMCellV1 LSTMCellV2 LSTMV1 LSTMV2 LinearModel ResidualWrapper
    SlicingOpLambda SyncBatchNormalization TFOpLambda TensorFlowOpLayer WideDeepModel
    """
)
# The layer of InceptionResNetV2, which tf_keras registers as users do: HDF5 says no module of it.
REGISTERED_CLASSES = frozenset({"Custom>CustomScaleLayer"})
# The layers that configs name without a module.
LAYER_CLASSES = _UNEXPORTED | _LAYERS
# All classes, and what is called as they are.
CLASSES = LAYER_CLASSES | _ALIASES | {name for _, name in _CLASSES}
# Functions, which configs call `builtins`; `softmax_v2` is what `tf.nn.softmax` calls itself.
FUNCTIONS = frozenset(
    {
        *(name for module, name in _FUNCTIONS if not module.startswith("ops")),
        *(name for _, name in _CLASSES if name[:1].islower()),
        *("log_softmax_v2", "softmax_v2"),
    }
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


def allows_class(module: str, name: str, *, barred: bool = False) -> bool:
    """Tell whether a class of Keras's own modules may be part of a model.

    Args:
        module: The module.
        name: The name in it.
        barred: Whether it may be one of `UNSAFE_CLASSES`.
    """
    place = (split_module(module), name)
    return place in _CLASSES or (barred and place in _BARRED)


def allows_function(module: str, name: str) -> bool:
    """Tell whether a function of Keras's own modules may be part of a model."""
    return (split_module(module), name) in _FUNCTIONS
