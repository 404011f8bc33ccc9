"""Fuzzing: whatever bytes come, every parser and machine keeps its promise.

`python -m fuzz [TARGET...] --seconds N --seed S` runs targets one after another, `make fuzz` all of them for
a minute each. A target is a module in `fuzz/targets`: its docstring is the invariant, `seeds()` are inputs
that are accepted, and `target(data)` raises when `data` breaks the invariant; it returns whether the bytes
were taken for what they claim to be. `guided` drives a target by coverage, with atheris (libFuzzer), where
that is installed; elsewhere, and in the test suite, `blind` does, with the mutations of `mutation`. What
breaks an invariant is written to `fuzz/crashes` and runs again by `python -m fuzz TARGET --input FILE`.
"""
