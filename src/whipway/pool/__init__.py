"""The media workers as the rest of the server sees them: one that takes requests and tells events."""
