"""Who is asked before a publish, and who is told of what happens."""
