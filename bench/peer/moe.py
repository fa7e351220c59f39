"""Mixture of experts, each a two-layer MLP run only on the tokens routed to it: forward and all gradients.

T tokens, D width, F hidden width of an expert, E experts, K experts a token.
"""

import torch
import torch.nn.functional as F
from torch import nn


class Experts(nn.Module):
    def __init__(self, width, hidden, experts, top_k):
        super().__init__()
        self.top_k = top_k
        self.router = nn.Linear(width, experts, bias=False)
        self.fc1 = nn.ModuleList(nn.Linear(width, hidden) for _ in range(experts))
        self.fc2 = nn.ModuleList(nn.Linear(hidden, width) for _ in range(experts))

    def forward(self, x_TD):
        gates_TK, chosen_TK = self.router(x_TD).softmax(dim=-1).topk(self.top_k, dim=-1)
        y_TD = torch.zeros_like(x_TD)
        for e, (fc1, fc2) in enumerate(zip(self.fc1, self.fc2)):
            rows, slot = torch.where(chosen_TK == e)
            out = fc2(F.gelu(fc1(x_TD.index_select(0, rows)), approximate="tanh"))
            y_TD = y_TD.index_add(0, rows, out * gates_TK[rows, slot].unsqueeze(1))
        return y_TD


class Moe:
    def __init__(self, sizes):
        self.model = Experts(*(sizes[key] for key in ("width", "hidden", "experts", "topK")))
        self.x_TD = torch.randn(sizes["tokens"], sizes["width"], requires_grad=True)
        self.dy_TD = torch.randn(sizes["tokens"], sizes["width"])

    def run(self):
        """One forward and backward pass; returns the mean square of the input's gradient."""
        self.model.zero_grad(set_to_none=True)
        self.x_TD.grad = None
        self.model(self.x_TD).backward(self.dy_TD)
        return self.x_TD.grad.square().mean().item()
