"""One training step of a pre-norm GPT with a tied head: forward, backward, clipping, AdamW.

B batch, L length, D width, H heads, V vocabulary.
"""

import torch
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def attend(self, x_BLD, mask_LL):
        B, L, D = x_BLD.shape
        H, head = self.heads, D // self.heads
        q, k, v = self.qkv(x_BLD).view(B, L, 3, H, head).permute(2, 0, 3, 1, 4).reshape(3, B * H, L, head)
        # product, scale and mask in one call
        scores = torch.baddbmm(mask_LL, q, k.transpose(1, 2), alpha=head**-0.5)
        mixed = torch.bmm(scores.softmax(dim=-1), v)
        return self.out(mixed.view(B, H, L, head).transpose(1, 2).reshape(B, L, D))

    def forward(self, x_BLD, mask_LL):
        x_BLD = x_BLD + self.attend(self.norm1(x_BLD), mask_LL)
        return x_BLD + self.fc2(F.gelu(self.fc1(self.norm2(x_BLD)), approximate="tanh"))


class Gpt(nn.Module):
    def __init__(self, layers, width, heads, length, vocabulary):
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width)
        self.positions = nn.Parameter(torch.empty(length, width))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.register_buffer("mask_LL", torch.full((length, length), float("-inf")).triu(1))
        for weight in (self.embed.weight, self.positions):
            nn.init.normal_(weight, std=0.02)

    def loss(self, ids_BL, targets_BL):
        x_BLD = self.embed(ids_BL) + self.positions
        for block in self.blocks:
            x_BLD = block(x_BLD, self.mask_LL)
        logits = F.linear(self.norm(x_BLD), self.embed.weight)
        return F.cross_entropy(logits.flatten(0, 1), targets_BL.flatten())


class GptStep:
    def __init__(self, sizes):
        self.model = Gpt(*(sizes[key] for key in ("layers", "width", "heads", "length", "vocabulary")))
        self.max_norm = sizes["maxGradNorm"]
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=sizes["learningRate"], weight_decay=sizes["weightDecay"]
        )
        shape = (sizes["batch"], sizes["length"])
        self.ids_BL, self.targets_BL = (torch.randint(sizes["vocabulary"], shape) for _ in range(2))

    def run(self):
        """One step; returns the loss before it."""
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.model.loss(self.ids_BL, self.targets_BL)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.max_norm)
        self.optimizer.step()
        return loss.item()
