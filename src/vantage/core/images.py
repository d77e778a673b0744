"""Pictures -> smaller pictures, by whole factors and exactly; acting and training must see the same pixels."""

import numpy as np
from jaxtyping import UInt8


def area_downsample(images: UInt8[np.ndarray, "*lead P P 3"], size: int) -> UInt8[np.ndarray, "*lead {size} {size} 3"]:
    """Mean of each (P / size) x (P / size) block, rounded half up: floor((sum + f^2 / 2) / f^2).

    Exact integer arithmetic, so that a picture downsampled while acting equals the one downsampled for training, on any machine.
    size = P returns the input itself. Raises ValueError unless P is a multiple of `size`.
    """
    side = images.shape[-2]
    factor, rest = divmod(side, size)
    if rest or factor < 1:
        raise ValueError(f"a side of {side} pixels is not a multiple of {size}")
    if factor == 1:
        return images
    total = np.zeros((*images.shape[:-3], size, size, 3), np.uint16 if factor <= 15 else np.uint32)
    for row in range(factor):
        for column in range(factor):
            total += images[..., row::factor, column::factor, :]
    total += factor * factor // 2
    total //= factor * factor
    return total.astype(np.uint8)
