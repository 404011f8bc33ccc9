"""The media worker: the only place with UDP, outgoing TCP, clocks and native sockets."""
