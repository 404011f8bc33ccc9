"""The embedded RTMP server: publish, and play to many."""
