"""The bintu API, as clients of the platform speak it: other paths and shapes over the same operations."""
