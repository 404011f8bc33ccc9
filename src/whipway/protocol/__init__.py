"""Wire protocols as sans-IO machines and parsers; siblings do not know each other."""
