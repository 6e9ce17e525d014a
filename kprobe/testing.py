"""For the tests of those who change models: assert that activations stayed the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kprobe.analysis.comparison.table import write_table
from kprobe.api import diff

if TYPE_CHECKING:
    from kprobe.analysis.comparison.result import DiffResult


def assert_same_activations(a: Any, b: Any = None, inputs: Any = (), **settings: Any) -> DiffResult:
    """Assert that two sides compute the same within tolerance.

        def test_the_new_model_computes_what_the_old_one_did():
            assert_same_activations("old.h5", make_model(), inputs=samples)

    Args:
        a: A dump, a model file, code, or a model in memory.
        b: The same; None where `against` says how A is computed otherwise.
        inputs: The samples, as `kprobe.diff` takes them.
        **settings: Those of `kprobe.diff`.

    Returns:
        What was compared.

    Raises:
        AssertionError: They differ; it holds the table.
        KprobeError: They can't be compared.
        TypeError: There is no such setting.
    """
    # pytest leaves this function out of its traceback.
    __tracebackhide__ = True
    result = diff(a, b, inputs, **settings)
    if not result.same:
        table = "\n".join(write_table(result))
        raise AssertionError(f"{result.a} and {result.b} differ:\n{table}")
    return result
