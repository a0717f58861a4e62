"""Two CUDA devices that are none: they run on the CPU, refuse what CUDA refuses, and count.

    with Standin() as device:             # torch.cuda.is_available() is True from here on
        device.counts.reset()
        ...                               # the product with device="cuda" or "cuda:1"
        print(device.counts)

A tensor on such a device is a :class:`~tests.standin.tensors.DeviceTensor` around one on the CPU.
Every operation of ATen on it passes ``tensors.dispatch``. That refuses tensors on two devices,
operators and dtypes for which CUDA has no kernel, ``.numpy()``, a tensor that was made on another
stream and not waited for, and memory beyond a limit that a test sets. What is copied to the host
without waiting holds garbage until somebody waits. It counts kernels (views are free), what makes
the host wait, copies, bytes and floating-point operations, each with the product's source line.

What it cannot see: time; rounding and algorithms of CUDA's kernels; what cuDNN fuses; memory that
is given back while another stream reads it; kernels that CUDA lacks and ``costs.NO_CUDA`` does not
list; real nvJPEG. Launches of compound operations (sort, nonzero, nms) are estimates from the
sources.

Where there is a real GPU, nothing here is used: the same tests run on that.
"""

from tests.standin.counts import Counts
from tests.standin.patches import Standin

__all__ = ["Counts", "Standin"]
