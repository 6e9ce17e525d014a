"""A signature of a SavedModel that holds no Keras model. Knows no TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, eq=False, repr=False)
class SavedSignature:
    """A signature of a SavedModel: a graph with named inputs and outputs, and no layers.

    Attributes:
        name: The signature's name, e.g. "serving_default".
        function: The `tf.ConcreteFunction`.
        owner: What `tf.saved_model.load` gave; the variables live as long as it does.
        outputs: The names of the function's results, in their order.
    """

    name: str
    function: Any
    owner: Any
    outputs: Sequence[str]

    def __repr__(self) -> str:
        taken = self.function.structured_input_signature[1]
        inputs = ", ".join(f"{name} {spec.dtype.name} {spec.shape}" for name, spec in taken.items())
        return f"<signature {self.name}: {inputs or 'no inputs'} -> {', '.join(self.outputs)}>"

    def __call__(self, **inputs: Any) -> dict[str, Any]:
        """Run the signature.

        Args:
            **inputs: A tensor for each input, by its name.

        Returns:
            A tensor for each output, by its name.
        """
        return dict(self.function(**inputs))
