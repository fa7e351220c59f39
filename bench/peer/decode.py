"""One token through pre-norm transformer layers with a key-value cache, float32, distinct weights in every layer.

D width, H heads, S cached positions, the new token's included.
"""

import torch
import torch.nn.functional as F


class Layer:
    def __init__(self, width, heads, kept):
        self.heads, self.kept = heads, kept
        head = width // heads
        self.norm1, self.norm2 = ((torch.ones(width), torch.zeros(width)) for _ in range(2))
        self.qkv = matrix(3 * width, width)
        self.out = matrix(width, width)
        self.fc1 = matrix(4 * width, width)
        self.fc2 = matrix(width, 4 * width)
        self.keys_HSd = torch.randn(heads, kept, head)
        self.values_HSd = torch.randn(heads, kept, head)

    def forward(self, x_D):
        q, k, v = linear(norm(x_D, self.norm1), self.qkv).view(3, self.heads, 1, -1)
        # the new token takes the last place in the cache
        self.keys_HSd[:, -1:] = k
        self.values_HSd[:, -1:] = v
        weights = (torch.bmm(q, self.keys_HSd.transpose(1, 2)) * q.shape[-1] ** -0.5).softmax(dim=-1)
        x_D = x_D + linear(torch.bmm(weights, self.values_HSd).view(x_D.shape), self.out)
        hidden = F.gelu(linear(norm(x_D, self.norm2), self.fc1), approximate="tanh")
        return x_D + linear(hidden, self.fc2)


def matrix(rows, columns):
    return torch.empty(rows, columns).normal_(std=columns**-0.5), torch.zeros(rows)


def linear(x, weights):
    return F.linear(x, *weights)


def norm(x, weights):
    return F.layer_norm(x, x.shape[-1:], *weights)


class Decode:
    def __init__(self, sizes):
        width = sizes["width"]
        self.layers = [Layer(width, sizes["heads"], sizes["kept"]) for _ in range(sizes["layers"])]
        # one vector, not a row of one: that takes BLAS's matrix-vector product, 3 times as fast here
        self.x_D = torch.randn(width)

    @torch.inference_mode()
    def run(self):
        """One token; returns the mean square of its last hidden state."""
        x_D = self.x_D
        for layer in self.layers:
            x_D = layer.forward(x_D)
        return x_D.square().mean().item()
