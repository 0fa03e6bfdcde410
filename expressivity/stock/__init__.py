"""Where else do the weights fit? Attention modules of torch, timm and transformers.

A position-only layer on inputs of one size is filled into a module that everybody has.
The tokens of such a module are the pixels of the canvas; a few of their channels say
where each is.

Example:
    >>> import torch
    >>> from expressivity import attention_from_conv
    >>> conv = torch.nn.Conv2d(3, 4, 3, padding=1)
    >>> layer = to_multihead(attention_from_conv(conv), size=(6, 5))
    >>> type(layer.attention), layer.attention.num_heads
    (<class 'torch.nn.modules.activation.MultiheadAttention'>, 9)
    >>> x = torch.rand(2, 3, 6, 5)
    >>> bool((layer(x) - conv(x)).abs().max() < 1e-5)
    True
"""

from expressivity.stock.encoder import EncoderBlock, attention_maps, encoder_blocks
from expressivity.stock.image_tokens import ImageTokens
from expressivity.stock.init_vit import VitInitialisation, init_vit
from expressivity.stock.multihead import ImageMultihead, to_multihead
from expressivity.stock.vision import fill_gpsa, fill_swin, fill_vit

__all__ = [
    "EncoderBlock",
    "ImageMultihead",
    "ImageTokens",
    "VitInitialisation",
    "attention_maps",
    "encoder_blocks",
    "fill_gpsa",
    "fill_swin",
    "fill_vit",
    "init_vit",
    "to_multihead",
]
