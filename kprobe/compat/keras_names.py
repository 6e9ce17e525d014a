"""What kprobe touches of keras and of tf_keras that isn't public, and what each name is for."""

from __future__ import annotations

from kprobe.compat.private_names import PrivateAttribute, PrivateName

_BOTH = ("keras", "tf_keras")
_KERAS_2 = ("tf_keras",)
_KERAS_3 = ("keras",)

# What tensors and variables say of themselves.
MASK = PrivateAttribute(
    "_keras_mask", "what a layer gave", "finds the mask of a layer's output", _BOTH
)
HISTORY = PrivateAttribute(
    "_keras_history", "a model's symbolic input", "finds the layer of a model's input", _BOTH
)
INITIALIZED = PrivateAttribute(
    "_keras_initialized",
    "a variable of a session",
    "tells which variables the Keras session has initialised",
    _KERAS_2,
)

# What layers and models say of themselves.
COMPUTE_ATTENTION = PrivateAttribute(
    "_compute_attention",
    "an attention layer with several heads",
    "finds the attention scores that a call doesn't return",
    _BOTH,
)
APPLY_SCORES = PrivateAttribute(
    "_apply_scores",
    "an attention layer",
    "finds the attention scores that a call doesn't return",
    _BOTH,
)
NAME = PrivateAttribute(
    "_name", "a layer", "gives a layer the name that its model's file has for it", _KERAS_2
)
VARIABLE_PATH = PrivateAttribute(
    "_path", "a variable", "lets a weight's path say the names that its layers have", _KERAS_3
)
FLATTEN_LAYERS = PrivateAttribute(
    "_flatten_layers", "a layer", "lists the layers inside a layer", _BOTH
)
FUNCTIONAL = PrivateAttribute(
    "_functional",
    "a Sequential model",
    "finds the functional model that a Sequential one runs",
    _KERAS_3,
)
NODES_BY_DEPTH = PrivateAttribute(
    "_nodes_by_depth",
    "a functional model",
    "lists a functional model's calls in the order in which they run",
    _BOTH,
)
INBOUND_NODES = PrivateAttribute(
    "_inbound_nodes",
    "a layer",
    "counts a shared layer's calls in the order in which the model was put together",
    _BOTH,
)
INPUT_STRUCTURE = PrivateAttribute(
    "_inputs_struct",
    "a functional model",
    "tells whether a model takes its inputs as one, a list or a dict",
    _KERAS_3,
)
NESTED_INPUTS = PrivateAttribute(
    "_nested_inputs",
    "a functional model",
    "tells whether a model takes its inputs as one, a list or a dict",
    _KERAS_2,
)
LAYER_OF_GRAPH_MODE = PrivateName(
    "src.engine.base_layer_v1",
    "Layer",
    "receives every layer's call where eager execution is off",
    _KERAS_2,
)
RESTORED_MODEL = PrivateName(
    "src.saving.legacy.saved_model.load",
    "RevivedNetwork",
    "tells models of which a SavedModel has kept the graph alone, whose sizes are fixed",
    _KERAS_2,
)
FUNCTIONAL_MODEL = PrivateName(
    "src.models",
    "Functional",
    "shows which models number their layers by class, in files of weights",
    _BOTH,
)

# The session of Keras 2.
SESSION = PrivateName(
    "src.backend",
    "_get_session",
    "gives the Keras session before it initialises all variables at once",
    _KERAS_2,
)
INITIALIZED_SESSION = PrivateName(
    "src.backend",
    "get_session",
    "gives the Keras session, with all variables initialised",
    _KERAS_2,
)

# Loading and saving.
FIRST_NAME = PrivateName(
    "src.engine.base_layer",
    "Layer._init_set_name",
    "notes which layers are named by Keras, and not by a file",
    _KERAS_2,
)
FIRST_MODEL_NAME = PrivateName(
    "src.engine.functional",
    "Functional._init_set_name",
    "notes which models inside models are named by Keras, and not by a file",
    _KERAS_2,
)
DESERIALIZE = PrivateName(
    "src.saving.serialization_lib",
    "deserialize_keras_object",
    "gives layers the names that a model's config has for them, before they are built",
    _BOTH,
)
LOAD_SAVED_LAYERS = PrivateName(
    "src.saving.legacy.saved_model.load",
    "KerasObjectLoader.load_layers",
    "gives the layers of a SavedModel the names that it has for them",
    _KERAS_2,
)
DESERIALIZE_OLD = PrivateName(
    "src.legacy.saving.saving_utils",
    "model_from_config",
    "gives layers of HDF5 files the names that the model's config has for them",
    _KERAS_3,
)
SAFE_MODE = PrivateName(
    "src.saving.serialization_lib",
    "SafeModeScope",
    "lets Keras build a model with a file's own code where the user trusts it, and only there",
    _BOTH,
)
IS_MEMORY_SUFFICIENT = PrivateName(
    "src.saving.saving_lib",
    "is_memory_sufficient",
    "keeps Keras from reading a file's weights as a whole, or copying them",
    _KERAS_3,
)
MAKE_WEIGHT_STORE = PrivateName(
    "src.saving.saving_lib",
    "H5IOStore.__init__",
    "lets a Keras read the weights of an archive where they lie",
    _BOTH,
)
MAKE_ASSET_STORE = PrivateName(
    "src.saving.saving_lib",
    "DiskIOStore.__init__",
    "keeps a Keras from unpacking an archive for the files of its layers",
    _BOTH,
)
SAVE_STATE = PrivateName(
    "src.saving.saving_lib",
    "_save_state",
    "tells where a model's weights lie in a file, and gives those it has",
    _BOTH,
)
LOAD_STATE = PrivateName(
    "src.saving.saving_lib", "_load_state", "puts the weights of a file into a model", _BOTH
)
WEIGHT_STORE = PrivateName(
    "src.saving.saving_lib",
    "H5IOStore",
    "gives and takes weights in the place of a file",
    _BOTH,
)
LOAD_OLD_WEIGHTS = PrivateName(
    "src.saving.legacy.hdf5_format",
    "load_weights_from_hdf5_group",
    "loads the weights of an old HDF5 file into a model of an adapted config",
    _KERAS_2,
)
LOAD_OLD_MODEL = PrivateName(
    "src.legacy.saving.legacy_h5_format",
    "load_model_from_hdf5",
    "loads an HDF5 file that is open already",
    _KERAS_3,
)
READ_OLD_WEIGHTS = PrivateName(
    "src.saving.legacy.hdf5_format",
    "load_subset_weights_from_hdf5_group",
    "lets tf_keras read a file's large weights one by one",
    _KERAS_2,
)
READ_NAMES_OF_OLD_WEIGHTS = PrivateName(
    "src.saving.legacy.hdf5_format",
    "load_attributes_from_hdf5_group",
    "lists the weights of a layer in an old HDF5 file",
    _KERAS_2,
)
CONVERT_OLD_WEIGHTS = PrivateName(
    "src.saving.legacy.hdf5_format",
    "preprocess_weights_for_loading",
    "gives the weights of older versions the shapes and the order of today",
    _KERAS_2,
)
