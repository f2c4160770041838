"""What everything about OCR takes a picture for: its luma. Apart from `lines.py`, which tools without numpy need."""

import numpy as np
from numpy.typing import NDArray

Luma = NDArray[np.uint8]  # height x width
