"""How kernels are compiled, and run where what they are compiled to can't be kept.

numba is imported when a kernel is compiled, which takes half a second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_RETRIES = 8  # as many kernels as one calls, and more


def compile_kernel(function: Callable[..., Any], **settings: Any) -> Callable[..., Any]:
    """Compile a kernel, which lets other threads run.

    What it is compiled to is kept on the disk: beside its module, or else in the user's own cache;
    where neither can be written, it is compiled anew in each process.

    Args:
        function: The kernel.
        **settings: As for `numba.njit`.
    """
    import numba

    try:
        compiled = numba.njit(cache=True, nogil=True, error_model="numpy", **settings)(function)
    except RuntimeError:  # no folder for the cache can be written
        compiled = numba.njit(nogil=True, error_model="numpy", **settings)(function)

    def run(*arguments: Any) -> Any:
        for _ in range(_RETRIES):
            try:
                return compiled(*arguments)
            except OSError:  # it is compiled all the same, and nothing was run yet
                continue
        return compiled(*arguments)

    return run
