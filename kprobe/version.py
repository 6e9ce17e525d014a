"""The version of kprobe: what dumps record, and what the wheel is called after."""

__version__ = "0.1.0"
