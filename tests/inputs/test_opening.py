"""From what the user gave to samples: what there is nothing to open for."""

from __future__ import annotations

import pytest

from kprobe.errors import InputError
from kprobe.inputs import SampleSpec, open_samples


@pytest.mark.parametrize("spec", [SampleSpec(), SampleSpec(random=3), SampleSpec(inputs="a.npy")])
def test_a_model_without_inputs_takes_no_samples(spec):
    with pytest.raises(InputError) as caught:
        open_samples(spec, [])
    assert caught.value.faults == (
        "expected a model that takes samples, received one without inputs",
    )


def test_a_model_that_does_not_say_what_it_takes_needs_samples():
    with pytest.raises(InputError) as caught:
        open_samples(SampleSpec(), None)
    assert str(caught.value) == "expected samples, received none; give some"
