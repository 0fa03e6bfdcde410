"""What torch's own compiler needs on this machine."""

import os
import shutil

import pytest

# With this setting inductor writes code for vector instructions all the same, which
# then does not compile: "'at::vec' has not been declared" (torch 2.13.0).
_SCALAR = os.environ.get("ATEN_CPU_CAPABILITY") == "default"

needs_inductor = pytest.mark.skipif(
    _SCALAR or not any(map(shutil.which, ("g++", "clang++", "cl"))),
    reason="inductor needs a C++ compiler, and vector instructions",
)
