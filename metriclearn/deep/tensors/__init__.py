"""Tensor primitives shared by losses, miners and samplers: distances, masks, masked sums."""
