"""One side's layers, group by group: from the samples, and each from values that it is fed.

Both are engines over the same groups of consecutive layers. What an earlier group gave is fed to
later ones, so that no layer is computed twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from kprobe.compat.eager_mode import eagerly
from kprobe.engines.engine import FetchSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    import numpy.typing as npt

    from kprobe.engines.engine import Engine
    from kprobe.engines.results import SampleAxis
    from kprobe.session.session import Session


class LayerRuns:
    """The matched layers of one side.

    Args:
        session: The model, as it is computed.
        fetches: The tensor of each pair, by the pair's number.
        axes: The axis of samples of each.
        fixed: The pairs, by number, whose tensors can't be fed.

    Attributes:
        groups: The numbers of the pairs of each group, in the order of computing.
    """

    def __init__(
        self,
        session: Session,
        fetches: Sequence[FetchSpec],
        axes: Sequence[SampleAxis],
        fixed: Collection[int],
    ) -> None:
        self.groups: Sequence[Sequence[int]] = [range(len(fetches))]
        self._session = session
        self._fetches = fetches
        self._axes = axes
        self._fixed = fixed
        # What is an input, or fed by the user, is given on this side; so it isn't fed again.
        given = {id(tensor) for tensor in session.feeds.values()}
        self._leads: dict[int, int] = {}
        for number, fetch in enumerate(fetches):
            if number not in fixed and id(fetch.tensor) not in given:
                # Tensors are fed, not addresses: two pairs may have one.
                self._leads.setdefault(id(fetch.tensor), number)
        self._plain: dict[int, Engine] = {}
        self._local: dict[int, Engine] = {}

    @property
    def has_state(self) -> bool:
        """Whether something is set before every batch, such as the seeds of what is random."""
        return self._make_plain(0).has_state

    def regroup(self, groups: Sequence[Sequence[int]]) -> None:
        """Compute in other groups from now on."""
        self.restore()
        self.groups = groups
        self._plain, self._local = {}, {}

    def run(
        self, group: int, feeds: Mapping[str, Any], earlier: Mapping[int, tf.Tensor], row: int
    ) -> dict[int, tf.Tensor]:
        """Compute a group from the samples.

        Args:
            group: The number of the group.
            feeds: The samples, by input.
            earlier: What earlier groups gave, by pair.
            row: The first sample's number.

        Returns:
            By pair its tensor, as the model has it.
        """
        engine = self._make_plain(group)
        fed = {_name(number): earlier[number] for number in _list_fed(engine)}
        return dict(zip(self.groups[group], engine({**feeds, **fed}, row), strict=True))

    def run_locally(
        self,
        group: int,
        feeds: Mapping[str, Any],
        give: Callable[[int], tf.Tensor],
        row: int,
    ) -> dict[int, tf.Tensor]:
        """Compute each layer of a group from what it is given.

        Args:
            group: The number of the group.
            feeds: The samples, by input, for what takes these.
            give: Gives the value that is fed for a pair, by the pair's number.
            row: The first sample's number.

        Returns:
            By pair its tensor as the layer computes it; of those alone that can be fed.
        """
        wanted = self._list_fed_in(group)
        if not wanted:
            return {}
        engine = self._make_local(group)
        fed = {_name(number): give(number) for number in _list_fed(engine)}
        return dict(zip(wanted, engine({**feeds, **fed}, row), strict=True))

    def list_used(self, group: int, *, local: bool) -> set[int]:
        """Give the pairs whose values are fed when a group is computed."""
        if not local:
            return set(_list_fed(self._make_plain(group)))
        return set(_list_fed(self._make_local(group))) if self._list_fed_in(group) else set()

    @eagerly
    def put_rows(self, number: int, tensor: tf.Tensor, rows: int) -> tf.Tensor:
        """Give a tensor of a pair as rows."""
        return self._axes[number].put_first(tensor, rows)

    @eagerly
    def put_back(self, number: int, tensor: tf.Tensor) -> tf.Tensor:
        """Give rows of a pair as the model has them, in its dtype."""
        axis = self._axes[number]
        if axis.whole:
            tensor = tensor[0]
        elif axis.place:
            others = list(range(1, tensor.shape.rank))
            tensor = tf.transpose(tensor, [*others[: axis.place], 0, *others[axis.place :]])
        return tf.cast(tensor, self._fetches[number].tensor.dtype)

    def restore(self) -> None:
        """Give the model's variables the values they had at first."""
        for engine in (*self._plain.values(), *self._local.values()):
            engine.restore()

    def _list_fed_in(self, group: int) -> list[int]:
        return [number for number in self.groups[group] if number not in self._fixed]

    def _make_plain(self, group: int) -> Engine:
        if group not in self._plain:
            earlier = {number for numbers in self.groups[:group] for number in numbers}
            wanted = [self._fetches[number] for number in self.groups[group]]
            self._plain[group] = self._make(earlier, wanted)
        return self._plain[group]

    def _make_local(self, group: int) -> Engine:
        if group not in self._local:
            fed = {number for numbers in self.groups[: group + 1] for number in numbers}
            wanted = [
                FetchSpec(
                    self._fetches[number].address,
                    self._fetches[number].tensor,
                    own=id(self._fetches[number].tensor) in self._leads,
                )
                for number in self._list_fed_in(group)
            ]
            self._local[group] = self._make(fed, wanted)
        return self._local[group]

    def _make(self, fed: Collection[int], wanted: Sequence[FetchSpec]) -> Engine:
        feeds = {
            _name(number): self._fetches[number].tensor
            for number in self._leads.values()
            if number in fed
        }
        session = self._session
        session = session.feed(feeds, session.replaced) if feeds else session
        return session.make_engine(
            [FetchSpec(fetch.address, fetch.tensor, own=fetch.own) for fetch in wanted],
            frozen=False,
        )


# No input of a model has such a name, and no address looks like it.
_MATCHED = "matched tensor "


def _name(number: int) -> str:
    return f"{_MATCHED}{number}"


def _list_fed(engine: Engine) -> list[int]:
    return [int(name.removeprefix(_MATCHED)) for name in engine.feeds if name.startswith(_MATCHED)]


@eagerly
def to_array(tensor: tf.Tensor) -> npt.NDArray[Any]:
    """Give a tensor as an array, bfloat16 as float32."""
    return np.asarray(tf.cast(tensor, tf.float32) if tensor.dtype == tf.bfloat16 else tensor)


@eagerly
def has_equal_bits(one: tf.Tensor, other: tf.Tensor) -> bool:
    """Tell whether two tensors are the same, bit for bit."""
    values = np.ascontiguousarray(one), np.ascontiguousarray(other)
    if values[0].shape != values[1].shape or values[0].dtype != values[1].dtype:
        return False
    if values[0].dtype == object:
        return np.array_equal(*values)
    one_bits, other_bits = (array.reshape(-1).view(np.uint8) for array in values)
    return np.array_equal(one_bits, other_bits)
