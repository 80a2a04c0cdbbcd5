"""``index(i)``: an index that is not negative, which a compiled loop is told.

Of a signed number numba asks at each use whether it counts from the end, as Python's do: three instructions an access,
for each array anew. In loops that meet a point's record in many arrays that is a fifth of all time. What is indexed so
must not be negative; computing with it is left to signed numbers, as unsigned and signed together are floats.
"""

from __future__ import annotations

import numpy as np

index = np.uintp
