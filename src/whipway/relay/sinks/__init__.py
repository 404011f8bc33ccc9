"""The outputs of a session: where each stands, what it holds, what waits for it. Sans-IO."""
