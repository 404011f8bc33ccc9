"""One session's media to its sinks: tags, queues, the state of each output. Sans-IO."""
