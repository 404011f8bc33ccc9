"""Elementary streams: H.264, Opus, AAC and FLV tag bodies. Knows no protocol."""
