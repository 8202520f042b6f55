"""Tables of what the laws run over, independent oracles, and small data for tests."""
