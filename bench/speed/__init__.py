"""What a stream costs, and how long it takes: publishers, a sink, a bare loop, a program for all."""
