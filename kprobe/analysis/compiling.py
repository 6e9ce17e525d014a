"""How kernels are compiled, and run where what they are compiled to can't be kept.

numba is imported when a kernel is compiled, which takes half a second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_RETRIES = 8  # as many kernels as one calls, and more


def compile_kernel(keep: bool = True, **settings: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile a kernel, as a decorator, so that it lets other threads run.

    What it is compiled to is kept on the disk: beside its module, or else in the user's own cache;
    where neither can be written, it is compiled anew in each process. Other kernels may call it;
    all else runs it by `run_kernel`.

    Args:
        keep: Whether to; what other kernels alone call is kept with them.
        **settings: As for `numba.njit`.
    """
    import numba

    # numpy's model of errors: division by zero gives infinity, so that no branch is in the way.
    settings = {"nogil": True, "error_model": "numpy", **settings}

    def compile_it(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(cache=keep, **settings)(function)
        except RuntimeError:  # no folder for the cache can be written
            return numba.njit(**settings)(function)

    return compile_it


def run_kernel(kernel: Callable[..., Any], *arguments: Any) -> Any:
    """Run a kernel, also where what it is compiled to can't be written to the disk."""
    for _ in range(_RETRIES):
        try:
            return kernel(*arguments)
        except OSError:  # it is compiled all the same, and nothing was run yet
            continue
    return kernel(*arguments)
