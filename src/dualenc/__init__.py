"""Rebuilds "In defense of dual-encoders for neural ranking" (Menon et al., ICML 2022).

Import this package before torch multiplies anything: MKL, which multiplies for torch on a CPU, reads its environment
once. On some processors it picks a kernel by where the data lie in memory, so that two calls with the same numbers
differ in the last bit. ``MKL_CBWR=AUTO`` rules that out and costs nothing.

oneDNN keeps what it has compiled for the last 1,024 matrix shapes, more than a megabyte for each batch of a new shape,
which grows to gigabytes. With 32 shapes, those of one batch, it is just as fast.

Values that you have set stay.
"""

import os

os.environ["MKL_CBWR"] = os.environ.get("MKL_CBWR") or "AUTO"
os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] = os.environ.get("ONEDNN_PRIMITIVE_CACHE_CAPACITY") or "32"
