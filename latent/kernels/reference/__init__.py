"""The reference back end: plain torch and torch-struct on any device, the yardstick of the other back ends.

It is slow and shares no algorithm's code with them; `latent.kernels.use_reference` selects it.
"""
