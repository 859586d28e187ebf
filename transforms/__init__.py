"""Thin PTransforms with verb names over kernels: the public library."""
