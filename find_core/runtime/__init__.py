"""What computes the image path (vision encoder, pixel decoder, image keys and values): docs/speed.md.

`protocol` says what a runtime is, `select` chooses one, `process` holds what must be set before torch
is loaded. This file imports nothing, so that `process` can be had without torch.
"""
