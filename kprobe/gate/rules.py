"""The rules of the gate, and what a file is told that breaks one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """What a file must keep to be opened.

    Attributes:
        name: What it is called in results, such as "hdf5-external"; it never changes.
        promise: What holds of every file that is opened, in a few words.
        kind: What opens a file that breaks this rule, and no other, if it is allowed; None where
            nothing narrow does.
        damage: Whether breaking it is damage, or another kind of file, rather than a danger.
    """

    name: str
    promise: str
    kind: str | None = None
    damage: bool = False


@dataclass(frozen=True)
class Fault:
    """How a file breaks a rule.

    Attributes:
        rule: The name of the rule.
        text: What is wrong, to be put behind the file's name and a colon: one line, without a
            full stop, names from the file shortened and escaped.
        owner: What of the file has it, such as "layer 'dense'"; empty for the whole file.
    """

    rule: str
    text: str
    owner: str = ""


_ALL = (
    # The file itself.
    Rule("file-kind", "is a regular file", damage=True),
    Rule("file-type", "is what its first bytes and its ending say", damage=True),
    Rule("file-size", "is no larger than allowed"),
    Rule("file-changed", "is the same when it is loaded as when it was checked"),
    Rule("file-parser", "can be read within bounds of time and memory"),
    # Zip archives.
    Rule("archive-layout", "has its members one behind the other, and nothing else"),
    Rule("archive-members", "has the members that Keras writes, each once"),
    Rule("archive-compression", "has members that are stored or deflated, and not encrypted"),
    Rule("archive-size", "unpacks to what it declares, and to no more than is allowed"),
    Rule("archive-damaged", "is whole, and has the checksums that it declares", damage=True),
    # HDF5.
    Rule("hdf5-layout", "is HDF5 from its first byte to its last, as Keras writes it"),
    Rule("hdf5-links", "has hard links alone, and each object once"),
    Rule("hdf5-external", "has all its values in itself"),
    Rule("hdf5-types", "has numbers and texts, of the kinds that Keras writes"),
    Rule("hdf5-filters", "is compressed by gzip, lzf, shuffle and fletcher32 alone"),
    Rule("hdf5-size", "declares no more than it stores, and has names and texts of bounded size"),
    Rule("hdf5-damaged", "can be read by HDF5", damage=True),
    # Configs.
    Rule("config-json", "has a config of strict JSON in UTF-8, each key once", damage=True),
    Rule("config-size", "has a config no larger and deeper than allowed"),
    Rule("config-values", "has values in its config of the dtypes that Keras writes"),
    Rule("names-class", "names classes of Keras's own that models are made of"),
    Rule("names-function", "names functions of Keras's own that models are made of"),
    Rule("names-custom", "has no classes and functions of the user's own but those given"),
    Rule("names-operation", "has functions of tensors alone among its operations"),
    Rule("code-lambda", "holds no Python bytecode", kind="lambda"),
    Rule("code-torch", "holds no pickles", kind="torch"),
    Rule("code-wrapped", "wraps no functions of other libraries"),
    Rule("code-savedmodel", "loads no other model", kind="savedmodel"),
    Rule("config-files", "reads no other files", kind="files"),
    Rule("config-pattern", "has patterns of names that are matched in little time"),
    # Graphs of layers.
    Rule("network-references", "refers to layers and calls that are there"),
    Rule("network-cycle", "has no layer that waits for itself"),
    Rule("network-size", "has no more layers, calls, inputs and states than allowed"),
    Rule("weights-shapes", "has weights of the shapes that its config says"),
    # SavedModels and graphs.
    Rule("savedmodel-members", "has the files that TensorFlow writes, and no links"),
    Rule("savedmodel-damaged", "is a whole SavedModel or graph", damage=True),
    Rule("savedmodel-size", "has graphs and constants no larger than allowed"),
    Rule("savedmodel-functions", "has functions that are there, and none that runs itself"),
    Rule("savedmodel-variables", "has variables whose values are in its files", damage=True),
    Rule("savedmodel-operations", "has operations on tensors alone", kind="operations"),
    # Converted models.
    Rule("tflite-layout", "has tables and buffers inside of the file", damage=True),
    Rule("tflite-size", "has tensors no larger than allowed"),
    Rule("tflite-external", "has all its values in itself", kind="external"),
    Rule("tflite-operations", "has TensorFlow Lite's own operations alone", kind="operations"),
    Rule("onnx-layout", "is a whole ONNX model", damage=True),
    Rule("onnx-size", "runs no more operations, and makes no more values, than allowed"),
    Rule("onnx-external", "has all its values in itself", kind="external"),
    Rule("onnx-operations", "has ONNX's own operations alone", kind="operations"),
)
RULES = {rule.name: rule for rule in _ALL}
# What may be allowed, one at a time.
KINDS = tuple(dict.fromkeys(rule.kind for rule in _ALL if rule.kind is not None))
