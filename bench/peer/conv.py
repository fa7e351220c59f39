"""3x3 convolution with equal channels in and out: forward and both gradients."""

import torch
import torch.nn.functional as F


class Conv:
    def __init__(self, sizes):
        batch, channels, side = (sizes[key] for key in ("batch", "channels", "side"))
        self.x = torch.randn(batch, channels, side, side, requires_grad=True)
        self.weight = (torch.randn(channels, channels, 3, 3) * (9 * channels) ** -0.5).requires_grad_()
        self.dy = torch.randn(batch, channels, side, side)

    def run(self):
        """One forward and backward pass; returns the mean square of both gradients together."""
        y = F.conv2d(self.x, self.weight, padding=1)
        dx, dw = torch.autograd.grad(y, (self.x, self.weight), self.dy)
        return (dx[0, 0].square().mean() + dw.square().mean()).item()
