"""One module a step. What is released is not edited any more."""
