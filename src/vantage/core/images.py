"""Pictures -> smaller pictures, by whole factors and exactly.

Acting and training must see the same pixels.
"""

import numpy as np
from jaxtyping import UInt8


def area_downsample(
    images: UInt8[np.ndarray, "*lead _h _w 3"],
    size: int | tuple[int, int],
) -> UInt8[np.ndarray, "*lead _rows _columns 3"]:
    """Mean of each block of f pixels, rounded half up: floor((sum + f / 2) / f), in whole numbers.

    `size`: (height, width) of the result; one number for a square. The factor of the height may differ from
    that of the width. Exact integer arithmetic, so that a picture downsampled while acting equals the one
    downsampled for training, on any machine. The size of the input returns the input itself. Raises
    ValueError where a side is not a whole multiple.
    """
    height, width = images.shape[-3:-1]
    rows, columns = (size, size) if isinstance(size, int) else size
    if not divides((height, width), (rows, columns)):
        raise ValueError(f"{width} x {height} pixels do not shrink to {columns} x {rows} by whole factors")

    down, across = height // rows, width // columns
    if down == across == 1:
        return images

    block = down * across
    # 16 bits hold the sum of up to 15 x 15 bytes, and are twice as fast to add.
    total = np.zeros((*images.shape[:-3], rows, columns, 3), np.uint16 if block <= 225 else np.uint32)
    for row in range(down):
        for column in range(across):
            total += images[..., row::down, column::across, :]

    total += block // 2
    total //= block
    return total.astype(np.uint8)


def divides(have: tuple[int, int], want: tuple[int, int]) -> bool:
    """Whether pictures of (height, width) `have` shrink to `want` by whole factors."""
    return all(large >= small > 0 and large % small == 0 for large, small in zip(have, want, strict=True))
