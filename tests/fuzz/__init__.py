"""A fuzzer of every reader: `python -m tests.fuzz` (`make fuzz`), and a few cases in the tests."""
