import pytest

from kprobe.dumps.shard import Shard, read_shard
from kprobe.errors import DumpError


def test_a_part_is_said_outright():
    assert read_shard("2/4") == Shard(2, 4)
    assert str(Shard(2, 4)) == "2/4"


@pytest.mark.parametrize("text", ["0/4", "5/4", "4", "1/", "/4", "-1/4", "1/4/4", "auto/", "", 3])
def test_what_is_no_part_is_refused(text):
    with pytest.raises(DumpError, match=r"^shard: expected I/N, from 1/N to N/N, or auto, or aut"):
        read_shard(text, {})


@pytest.mark.parametrize(
    ("told", "text", "expected"),
    [
        (
            {
                "SLURM_ARRAY_TASK_ID": "14",
                "SLURM_ARRAY_TASK_MIN": "10",
                "SLURM_ARRAY_TASK_MAX": "18",
                "SLURM_ARRAY_TASK_STEP": "2",
                "SLURM_PROCID": "0",
                "SLURM_NTASKS": "1",
            },
            "auto",
            Shard(3, 5),
        ),
        ({"SLURM_PROCID": "3", "SLURM_NTASKS": "8"}, "auto", Shard(4, 8)),
        (
            {"LSB_JOBINDEX": "5", "LSB_JOBINDEX_END": "9", "LSB_JOBINDEX_STEP": "2"},
            "auto",
            Shard(3, 5),
        ),
        ({"LSB_JOBINDEX": "0", "JOB_COMPLETION_INDEX": "0"}, "auto/2", Shard(1, 2)),
        ({"PBS_ARRAY_INDEX": "8"}, "auto/8", Shard(8, 8)),
        ({"JOB_COMPLETION_INDEX": "7"}, "auto/8", Shard(8, 8)),
    ],
)
def test_a_scheduler_tells_which_part(told, text, expected):
    assert read_shard(text, told) == expected


@pytest.mark.parametrize(
    ("told", "text", "message"),
    [
        ({}, "auto", "expected a scheduler that tells which job this is, received none of SLURM"),
        ({"PBS_ARRAY_INDEX": "1"}, "auto", "a job array of PBS doesn't tell how many jobs there "),
        ({"JOB_COMPLETION_INDEX": "8"}, "auto/8", "expected one of 8 jobs, received number 9 by "),
        (
            {
                "SLURM_ARRAY_TASK_ID": "3",
                "SLURM_ARRAY_TASK_MAX": "4",
                "SLURM_ARRAY_TASK_STEP": "2",
            },
            "auto",
            "expected one of 3 jobs",
        ),
    ],
)
def test_what_a_scheduler_does_not_tell_is_asked_for(told, text, message):
    with pytest.raises(DumpError, match=message):
        read_shard(text, told)


def test_parts_have_all_ranges_once_and_differ_by_one_at_most():
    ranges = [range(i, i + 3) for i in range(0, 30, 3)]
    parts = [Shard(number, 4).choose(ranges) for number in (1, 2, 3, 4)]
    assert sorted((r for part in parts for r in part), key=lambda r: r.start) == ranges
    assert {len(part) for part in parts} == {2, 3}
