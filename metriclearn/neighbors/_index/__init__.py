"""The retrieval index: its rows, their ids and payload, the search, and its folder."""
