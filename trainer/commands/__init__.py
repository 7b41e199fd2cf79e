"""The commands of ``python -m trainer``, one file each: parse, call, print."""
