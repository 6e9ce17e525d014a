"""The messages of SavedModels and checkpoints, as far as they are read here, without TensorFlow.

TensorFlow's own classes for them come only with all of TensorFlow. The names and numbers are those
of tensorflow/core/protobuf/{saved_model,meta_graph,saver,saved_object_graph}.proto,
tensorflow/core/protobuf/trackable_object_graph.proto,
tensorflow/core/framework/{graph,node_def,attr_value,function,op_def,tensor,tensor_shape}.proto,
tensorflow/core/protobuf/tensor_bundle.proto,
google/protobuf/any.proto and tf_keras/protobuf/saved_metadata.proto; what isn't listed is skipped.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_PACKAGE = "kprobe"
# A field is its number and its type; `*` stands for repeated, `{}` for a map from text.
SCHEMA: dict[str, dict[str, tuple[int, str]]] = {
    "SavedModel": {"meta_graphs": (2, "MetaGraphDef*")},
    "MetaGraphDef": {
        "meta_info_def": (1, "MetaInfoDef"),
        "graph_def": (2, "GraphDef"),
        "saver_def": (3, "SaverDef"),
        "collection_def": (4, "CollectionDef{}"),
        "signature_def": (5, "SignatureDef{}"),
        "asset_file_def": (6, "AssetFileDef*"),
        "object_graph_def": (7, "SavedObjectGraph"),
    },
    "MetaInfoDef": {"tags": (4, "string*"), "tensorflow_version": (5, "string")},
    "SaverDef": {
        "filename_tensor_name": (1, "string"),
        "save_tensor_name": (2, "string"),
        "restore_op_name": (3, "string"),
    },
    "CollectionDef": {"node_list": (1, "NodeList"), "any_list": (5, "AnyList")},
    "NodeList": {"value": (1, "string*")},
    "AnyList": {"value": (1, "Any*")},
    "Any": {"value": (2, "bytes")},
    "SignatureDef": {"inputs": (1, "TensorInfo{}"), "outputs": (2, "TensorInfo{}")},
    "TensorInfo": {
        "name": (1, "string"),
        "dtype": (2, "int32"),
        "tensor_shape": (3, "TensorShapeProto"),
    },
    "TensorShapeProto": {"dim": (2, "Dim*"), "unknown_rank": (3, "bool")},
    "Dim": {"size": (1, "int64")},
    "AssetFileDef": {"tensor_info": (1, "TensorInfo"), "filename": (2, "string")},
    "GraphDef": {"node": (1, "NodeDef*"), "library": (2, "FunctionDefLibrary")},
    "NodeDef": {
        "name": (1, "string"),
        "op": (2, "string"),
        "input": (3, "string*"),
        "attr": (5, "AttrValue{}"),
    },
    "AttrValue": {
        "list": (1, "ListValue"),
        "s": (2, "bytes"),
        "type": (6, "int32"),
        "shape": (7, "TensorShapeProto"),
        "tensor": (8, "TensorProto"),
        "func": (10, "NameAttrList"),
    },
    "TensorProto": {
        "dtype": (1, "int32"),
        "tensor_shape": (2, "TensorShapeProto"),
        "tensor_content": (4, "bytes"),
        "float_val": (5, "float*"),
        "double_val": (6, "double*"),
        "int_val": (7, "int32*"),
        "string_val": (8, "bytes*"),
        "scomplex_val": (9, "float*"),
        "int64_val": (10, "int64*"),
        "bool_val": (11, "bool*"),
        "dcomplex_val": (12, "double*"),
        "half_val": (13, "int32*"),
        "uint32_val": (16, "uint32*"),
        "uint64_val": (17, "uint64*"),
        "float8_val": (18, "bytes"),
    },
    "ListValue": {"func": (9, "NameAttrList*")},
    "NameAttrList": {"name": (1, "string")},
    "FunctionDefLibrary": {"function": (1, "FunctionDef*"), "gradient": (2, "GradientDef*")},
    "GradientDef": {"function_name": (1, "string"), "gradient_func": (2, "string")},
    "FunctionDef": {"signature": (1, "OpDef"), "node_def": (3, "NodeDef*")},
    "OpDef": {"name": (1, "string"), "input_arg": (2, "ArgDef*")},
    "ArgDef": {"name": (1, "string")},
    "SavedObjectGraph": {
        "nodes": (1, "SavedObject*"),
        "concrete_functions": (2, "SavedConcreteFunction{}"),
    },
    "SavedObject": {
        "children": (1, "ObjectReference*"),
        "user_object": (4, "SavedUserObject"),
        "asset": (5, "SavedAsset"),
        "variable": (7, "SavedVariable"),
    },
    "ObjectReference": {"node_id": (1, "int32"), "local_name": (2, "string")},
    "SavedUserObject": {"identifier": (1, "string"), "metadata": (3, "string")},
    "SavedAsset": {"asset_file_def_index": (1, "int32")},
    "SavedVariable": {"dtype": (1, "int32"), "shape": (2, "TensorShapeProto")},
    "SavedConcreteFunction": {"bound_inputs": (2, "int32*")},
    "TrackableObjectGraph": {"nodes": (1, "TrackableObject*")},
    "TrackableObject": {
        "children": (1, "ObjectReference*"),
        "attributes": (2, "SerializedTensor*"),
    },
    "SerializedTensor": {
        "name": (1, "string"),
        "full_name": (2, "string"),
        "checkpoint_key": (3, "string"),
    },
    # A checkpoint's index.
    "BundleHeaderProto": {"num_shards": (1, "int32"), "endianness": (2, "int32")},
    "BundleEntryProto": {
        "dtype": (1, "int32"),
        "shape": (2, "TensorShapeProto"),
        "shard_id": (3, "int32"),
        "offset": (4, "int64"),
        "size": (5, "int64"),
        "slices": (7, "TensorSliceProto*"),
    },
    "TensorSliceProto": {},
    # tf_keras's
    "SavedMetadata": {"nodes": (1, "MetadataNode*")},
    "MetadataNode": {
        "node_id": (2, "int32"),
        "identifier": (4, "string"),
        "metadata": (5, "string"),
    },
}
_SCALARS = {
    name: getattr(descriptor_pb2.FieldDescriptorProto, f"TYPE_{name.upper()}")
    for name in (
        "string",
        "bytes",
        "bool",
        "double",
        "float",
        "int32",
        "int64",
        "uint32",
        "uint64",
        "fixed32",
    )
}


def parse(message: str, content: bytes) -> Any:
    """Parse a message of the schema.

    Args:
        message: Its name.
        content: Its bytes.

    Raises:
        google.protobuf.message.DecodeError: They aren't such a message.
    """
    result = _make_class(message)()
    result.ParseFromString(content)
    return result


@cache
def _make_class(message: str) -> Any:
    pool = _make_pool()
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{message}"))


@cache
def _make_pool() -> Any:
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{_PACKAGE}/saved_model.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, fields in SCHEMA.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            _add_field(message, field, number, kind)
    # One of its own: TensorFlow's is the default one.
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool


def _add_field(message: Any, name: str, number: int, kind: str) -> None:
    of = kind.rstrip("*{}")
    field = message.field.add(name=name, number=number)
    field.label = field.LABEL_REPEATED if kind != of else field.LABEL_OPTIONAL
    if kind.endswith("{}"):
        # A map is a list of messages of a key and a value.
        entry = message.nested_type.add(name="".join(p.title() for p in name.split("_")) + "Entry")
        entry.options.map_entry = True
        _add_field(entry, "key", 1, "string")
        _add_field(entry, "value", 2, of)
        field.type = field.TYPE_MESSAGE
        field.type_name = f".{_PACKAGE}.{message.name}.{entry.name}"
    elif of in _SCALARS:
        field.type = _SCALARS[of]
    else:
        field.type = field.TYPE_MESSAGE
        field.type_name = f".{_PACKAGE}.{of}"
