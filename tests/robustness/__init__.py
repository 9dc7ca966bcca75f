"""Programs that look for faults with random input for as long as they are given: see `docs/robustness.md`."""

PROGRAMS = ("networks", "refusals", "interrupts", "files", "threads", "tables")
