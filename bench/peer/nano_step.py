"""One training step of UniF2ace's backbone: D3Diff and answers together, experts of both kinds, batch building, AdamW, average.

Written plainly: modules for every part, each expert on the rows routed to it by index_select and index_add, autograd,
torch's own optimiser. Parameters are named as in the model's weights. Sizes come from the recipe (bench/nano-setup.ts).

B batch, L length, D width, H heads, T = B*L tokens, E experts, K experts a token, N image positions, G codes of a position.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

HIDDEN = float(-(2**63))


class FeedForward(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x), approximate="tanh"))


class Gate(nn.Module):
    def __init__(self, width, experts):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(experts, width))

    def forward(self, x):
        return F.linear(x, self.weight).softmax(dim=-1)


def balance(scores_TE, chosen_TK, weights_T=None):
    """Sum over experts of load times mean score, 1 at perfect balance; the gradient flows through the scores."""
    T, E = scores_TE.shape
    K = chosen_TK.shape[1]
    weights_T = scores_TE.new_ones(T) if weights_T is None else weights_T
    total = weights_T.sum()
    hits_E = scores_TE.new_zeros(E).index_add_(0, chosen_TK.flatten(), weights_T.repeat_interleave(K))
    return (hits_E / (total * K / E) * ((scores_TE * weights_T[:, None]).sum(0) / total)).sum()


class TokenMoe(nn.Module):
    def __init__(self, width, s):
        super().__init__()
        self.top_k = s["topK"]
        self.gate = Gate(width, s["experts"])
        self.experts = nn.ModuleList(FeedForward(width, s["routedHidden"]) for _ in range(s["experts"]))
        self.shared_experts = FeedForward(width, s["sharedHidden"])

    def forward(self, x_BLD, rows_T):
        x_TD = x_BLD.flatten(0, 1)
        scores_TE = self.gate(x_TD)
        gates_TK, chosen_TK = scores_TE.topk(self.top_k, dim=-1)
        y_TD = self.shared_experts(x_TD)
        for e, expert in enumerate(self.experts):
            rows, slot = torch.where(chosen_TK == e)
            out = expert(x_TD.index_select(0, rows)) * gates_TK[rows, slot].unsqueeze(1)
            y_TD = y_TD.index_add(0, rows, out)
        return y_TD.view_as(x_BLD), balance(scores_TE, chosen_TK, rows_T)


class Blend(nn.Module):
    """w*x + (1-w)*feature with a learnt w."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.zeros(2))

    def forward(self, x, feature):
        w = self.w.softmax(0)[0]
        return w * x + (1 - w) * feature


class SequenceMoe(nn.Module):
    def __init__(self, width, kinds, top_k):
        super().__init__()
        self.kinds = kinds
        self.top_k = min(top_k, len(kinds))
        self.gate = Gate(width, len(kinds))
        self.experts = nn.ModuleDict(
            {str(e): Blend() for e, kind in enumerate(kinds) if kind not in ("copy", "zero")}
        )

    def forward(self, x_BND, features):
        scores_BE = self.gate(x_BND.mean(1))
        gates_BK, chosen_BK = scores_BE.topk(self.top_k, dim=-1)
        gates_BK = gates_BK / (gates_BK.sum(1, keepdim=True) + 1e-20)
        gate_BE = torch.zeros_like(scores_BE).scatter(1, chosen_BK, gates_BK)
        y_BND = torch.zeros_like(x_BND)
        for e, kind in enumerate(self.kinds):
            if kind == "zero":
                continue
            out = x_BND if kind == "copy" else self.experts[str(e)](x_BND, features[kind])
            y_BND = y_BND + gate_BE[:, e, None, None] * out
        return y_BND, balance(scores_BE, chosen_BK)


class PerceiverAttention(nn.Module):
    def __init__(self, s):
        super().__init__()
        self.heads, self.self_attend = s["heads"], s["selfAttend"]
        width, inner = s["width"], s["heads"] * s["headWidth"]
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.to_q, self.to_k, self.to_v = (nn.Linear(width, inner, bias=False) for _ in range(3))
        self.to_out = nn.Linear(inner, width, bias=False)

    def forward(self, x_BQR, context_BMR):
        latents, context = self.norm2(x_BQR), self.norm1(context_BMR)
        memory = torch.cat([context, latents], 1) if self.self_attend else context
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in (self.to_q(latents), self.to_k(memory), self.to_v(memory))
        )
        weights = (q / math.sqrt(q.shape[-1]) @ k.transpose(-1, -2)).softmax(-1)
        return self.to_out((weights @ v).transpose(1, 2).flatten(2))


class Resampler(nn.Module):
    def __init__(self, s, features, queries, outputs):
        super().__init__()
        width, hidden = s["width"], round(s["width"] * s["feedForwardFactor"])
        self.latents = nn.Parameter(torch.empty(1, queries, width))
        self.proj_in = nn.Linear(features, width)
        self.layers = nn.ModuleList(
            nn.ModuleList(
                [
                    PerceiverAttention(s),
                    nn.Sequential(
                        nn.LayerNorm(width),
                        nn.Linear(width, hidden, bias=False),
                        nn.GELU(),
                        nn.Linear(hidden, width, bias=False),
                    ),
                ]
            )
            for _ in range(s["depth"])
        )
        self.proj_out = nn.Linear(width, outputs)
        self.norm_out = nn.LayerNorm(outputs)

    def forward(self, features_BMF):
        context = self.proj_in(features_BMF)
        x = self.latents.expand(features_BMF.shape[0], -1, -1)
        for attend, feed in self.layers:
            x = x + attend(x, context)
            x = x + feed(x)
        return self.norm_out(self.proj_out(x))


class Attention(nn.Module):
    def __init__(self, s):
        super().__init__()
        width, self.heads = s["hidden"], s["heads"]
        self.rotary = s["rotaryDims"]
        self.q_proj, self.k_proj, self.v_proj, self.dense = (nn.Linear(width, width) for _ in range(4))
        self.q_layernorm = nn.LayerNorm(width // self.heads, eps=s["epsilon"])
        self.k_layernorm = nn.LayerNorm(width // self.heads, eps=s["epsilon"])

    def rotate(self, x, cos, sin):
        """Half-split rotary embedding of the first `rotary` dimensions of each head."""
        turned, kept = x.split([self.rotary, x.shape[-1] - self.rotary], -1)
        first, second = turned.chunk(2, -1)
        return torch.cat([turned * cos + torch.cat([-second, first], -1) * sin, kept], -1)

    def forward(self, x_BLD, mask, cos, sin):
        q, k, v = (
            proj(x_BLD).unflatten(-1, (self.heads, -1)) for proj in (self.q_proj, self.k_proj, self.v_proj)
        )
        q = self.rotate(self.q_layernorm(q).transpose(1, 2), cos, sin)
        k = self.rotate(self.k_layernorm(k).transpose(1, 2), cos, sin)
        scores = q / math.sqrt(q.shape[-1]) @ k.transpose(-1, -2) + mask
        return self.dense((scores.softmax(-1) @ v.transpose(1, 2)).transpose(1, 2).flatten(2))


class Layer(nn.Module):
    def __init__(self, s):
        super().__init__()
        width, eps = s["hidden"], s["epsilon"]
        self.input_layernorm = nn.LayerNorm(width, eps=eps)
        self.self_attn = Attention(s)
        self.post_attention_layernorm = nn.LayerNorm(width, eps=eps)
        self.token_moe = nn.ModuleDict({task: TokenMoe(width, s["tokenMoe"]) for task in ("t2i", "mmu")})
        self.pre_sequence_layernorm = nn.LayerNorm(width, eps=eps)
        kinds = s["sequenceMoe"]
        self.sequence_moe = nn.ModuleDict(
            {task: SequenceMoe(width, kinds[task], kinds["topK"]) for task in ("t2i", "mmu")}
        )

    def forward(self, x_BLD, task, batch, start, tokens, features, rope):
        x_BLD = x_BLD + self.self_attn(self.input_layernorm(x_BLD), batch["mask"], *rope)
        routed, token_balance = self.token_moe[task](self.post_attention_layernorm(x_BLD), batch["rows"])
        x_BLD = x_BLD + routed
        span = x_BLD[:, start : start + tokens]
        mixed, sequence_balance = self.sequence_moe[task](self.pre_sequence_layernorm(span), features)
        x_BLD = torch.cat([x_BLD[:, :start], span + mixed, x_BLD[:, start + tokens :]], 1)
        return x_BLD, token_balance + sequence_balance


class Model(nn.Module):
    def __init__(self, s):
        super().__init__()
        self.s = s
        width, tokens = s["hidden"], s["imageTokens"]
        self.model = nn.ModuleDict(
            {
                "embed_tokens": nn.Embedding(s["vocabSize"], width),
                "layers": nn.ModuleList(Layer(s) for _ in range(s["layers"])),
                "resamplers": nn.ModuleDict(
                    {
                        kind: Resampler(s["resampler"], s["features"][kind]["width"], tokens, width)
                        for kind in ("face", "clip", "noise")
                    }
                ),
                "final_layernorm": nn.LayerNorm(width, eps=s["epsilon"]),
            }
        )
        self.lm_head = nn.Linear(width, s["vocabSize"])
        half = s["rotaryDims"] // 2
        frequency = 1 / s["ropeTheta"] ** (torch.arange(half) / half)
        self.register_buffer("frequency", frequency.repeat(2), persistent=False)

    def noise(self, ratio_B):
        half = self.s["features"]["noise"]["width"] // 2
        angle = ratio_B[:, None, None] * 1000 ** (torch.arange(half) / max(1, half - 1))
        return torch.cat([angle.sin(), angle.cos()], 2)

    def hidden(self, task, batch, start, positions_L):
        s, parts = self.s, self.model
        tokens = s["imageTokens"]
        x_BLD = parts["embed_tokens"](batch["ids"])
        if "others" in batch:
            B = x_BLD.shape[0]
            added = parts["embed_tokens"](batch["others"]).view(B, tokens, -1, s["hidden"]).sum(2)
            x_BLD = torch.cat(
                [x_BLD[:, :start], x_BLD[:, start : start + tokens] + added, x_BLD[:, start + tokens :]], 1
            )
        sources = (
            {"noise": self.noise(batch["ratio"])} if task == "t2i" else {"face": batch["face"], "clip": batch["clip"]}
        )
        used = {kind: source for kind, source in sources.items() if kind in s["sequenceMoe"][task]}
        features = {kind: parts["resamplers"][kind](source) for kind, source in used.items()}
        angle = positions_L[:, None] * self.frequency
        rope = (angle.cos(), angle.sin())
        total = 0
        for layer in parts["layers"]:
            x_BLD, both = layer(x_BLD, task, batch, start, tokens, features, rope)
            total = total + both
        return parts["final_layernorm"](x_BLD), total / (2 * s["layers"])

    def t2i(self, batch):
        """Loss, balance and the cross-entropy of every code."""
        s = self.s
        tokens, groups, codes = s["imageTokens"], s["codeGroups"], s["codes"]
        start = s["promptTokens"] + 2
        positions = torch.arange(batch["ids"].shape[1])
        hidden, balanced = self.hidden("t2i", batch, start, positions)
        rows_ND = hidden[:, start : start + tokens].flatten(0, 1)
        targets_NG = batch["targets"].view(-1, groups)
        each = []
        for group in range(groups):
            first = s["codeOffset"] + group * codes
            head = slice(first, first + codes)
            logits = F.linear(rows_ND, self.lm_head.weight[head], self.lm_head.bias[head])
            each.append(F.cross_entropy(logits, targets_NG[:, group], reduction="none"))
        rows = torch.stack(each, 1).flatten()
        return (rows * batch["weights"]).sum(), balanced, rows

    def mmu(self, batch):
        s = self.s
        prefix = s["imageTokens"] + 3
        answers = batch["ids"].shape[1] - prefix
        hidden, balanced = self.hidden("mmu", batch, 2, s["positions"])
        logits = self.lm_head(hidden[:, prefix - 1 : prefix - 1 + answers]).flatten(0, 1)
        rows = F.cross_entropy(logits, batch["targets"], reduction="none")
        return (rows * batch["weights"]).sum(), balanced, rows

    def loss(self, t2i, mmu):
        t2i_loss, t2i_balance, _ = self.t2i(t2i)
        mmu_loss, mmu_balance, _ = self.mmu(mmu)
        s = self.s
        return t2i_loss + s["mmuCoefficient"] * mmu_loss + s["balanceCoefficient"] * (t2i_balance + mmu_balance)


def packed_positions(s):
    """Every slot begins where the prefix ends."""
    prefix = s["imageTokens"] + 3
    parts = [torch.arange(prefix)] + [prefix + torch.arange(room) for room in s["slots"]]
    return torch.cat(parts)


class Batches:
    """Batches from codes, features and texts in memory; texts are token ids already."""

    def __init__(self, s):
        self.s = s
        faces, codes = s["faces"], s["imageTokens"] * s["codeGroups"]
        self.codes = torch.randint(s["codes"], (faces, codes))
        self.face = torch.randn(faces, s["features"]["face"]["tokens"], s["features"]["face"]["width"])
        self.clip = torch.randn(faces, s["features"]["clip"]["tokens"], s["features"]["clip"]["width"])
        text = lambda low, high: torch.randint(s["textVocabSize"], (int(torch.randint(low, high + 1, ())),)).tolist()
        self.prompts = [text(6, s["promptTokens"] - 2) for _ in range(faces)]
        self.captions = [(text(5, 8), text(12, s["slots"][0] - 12)) for _ in range(faces)]
        self.questions = [(text(7, 10), text(5, s["slots"][1] - 14)) for _ in range(faces)]
        prefix, length = s["imageTokens"] + 3, s["imageTokens"] + 3 + sum(s["slots"])
        slot = torch.cat([torch.full((prefix,), -1)] + [torch.full((room,), i) for i, room in enumerate(s["slots"])])
        order = torch.arange(length)
        seen = (order[None] < prefix) | ((slot[None] == slot[:, None]) & (order[None] <= order[:, None]))
        self.mmu_mask = torch.zeros(length, length).masked_fill(~seen, HIDDEN)[None, None]
        self.step = 0

    def image(self, codes_BN, masked_BN=None):
        """Ids of the first code of each position, and of the others."""
        s = self.s
        groups = s["codeGroups"]
        group = torch.arange(codes_BN.shape[1]) % groups
        ids = s["codeOffset"] + group * s["codes"] + codes_BN
        if masked_BN is not None:
            ids = torch.where(masked_BN, s["mask"] + group, ids)
        ids = ids.view(ids.shape[0], -1, groups)
        return ids[:, :, 0], ids[:, :, 1:].flatten(1)

    def pack(self, ids, others):
        batch = {"ids": ids, "rows": (ids != self.s["pad"]).float().flatten()}
        if others.shape[1]:
            batch["others"] = others
        return batch

    def t2i(self):
        s = self.s
        B, room = s["t2iBatch"], s["promptTokens"] + 1
        faces = torch.randint(s["faces"], (B,))
        codes = self.codes[faces]
        count = (codes.shape[1] * torch.cos(math.pi / 2 * torch.rand(B))).round().clamp(min=1)
        order = torch.rand(codes.shape).argsort(1).argsort(1)
        masked = order < count[:, None]
        first, others = self.image(codes, masked)
        prefixes = []
        for face in faces.tolist():
            text = [] if torch.rand(()) < s["conditionDropout"] else self.prompts[face]
            kept = [s["t2i"], s["sot"], *text, s["eot"]]
            prefixes.append([s["pad"]] * (room - len(kept)) + kept)
        mark = lambda id: torch.full((B, 1), id)
        ids = torch.cat([torch.tensor(prefixes), mark(s["soi"]), first, mark(s["eoi"])], 1)
        L = ids.shape[1]
        place = torch.arange(L)
        pad = ids == s["pad"]
        seen = (place[:, None] >= room) | (place[None] <= place[:, None])
        seen = seen[None] & ~(pad[:, None, :] & ~pad[:, :, None])
        low = torch.where(count == 1, torch.zeros(()), (count - 0.5) / codes.shape[1])
        high = ((count + 0.5) / codes.shape[1]).clamp(max=1)
        probability = 2 / math.pi * (low.acos() - high.acos())
        weight = (1 / count + s["alpha"] / (count * probability)) / B
        return {
            **self.pack(ids, others),
            "mask": torch.zeros(B, L, L).masked_fill(~seen, HIDDEN)[:, None],
            "ratio": count / codes.shape[1],
            "targets": codes.flatten(),
            "weights": (masked * weight[:, None]).flatten(),
        }

    def mmu(self):
        s = self.s
        B = s["mmuBatch"]
        faces = torch.randint(s["faces"], (B,))
        first, others = self.image(self.codes[faces])
        texts, targets, weights = [], [], []
        for face in faces.tolist():
            row = ([], [], [])
            for slot, room in enumerate(s["slots"]):
                pick = face if slot == 0 else int(torch.randint(s["faces"], ()))
                question, answer = self.captions[pick] if slot == 0 else self.questions[pick]
                asked, answered = [s["sot"], *question], [*answer, s["eot"]]
                rest = room - len(asked) - len(answered)
                row[0].extend(asked + answered + [s["pad"]] * rest)
                row[1].extend([0] * len(asked) + answered + [0] * rest)
                share = 0.5 if slot == 0 else 0.5 / (len(s["slots"]) - 1)
                n = len(answered)
                each = [share / n] * n if slot == 0 else [share / 2] + [share / 2 / (n - 1)] * (n - 1)
                row[2].extend([0.0] * len(asked) + [value / B for value in each] + [0.0] * rest)
            for part, values in zip((texts, targets, weights), row):
                part.append(values)
        mark = lambda id: torch.full((B, 1), id)
        ids = torch.cat([mark(s["mmu"]), mark(s["soi"]), first, mark(s["eoi"]), torch.tensor(texts)], 1)
        return {
            **self.pack(ids, others),
            "mask": self.mmu_mask,
            "face": self.face[faces],
            "clip": self.clip[faces],
            "targets": torch.tensor(targets).flatten(),
            "weights": torch.tensor(weights).flatten(),
        }


class NanoStep:
    def __init__(self, sizes):
        sizes = {**sizes, "positions": packed_positions(sizes)}
        self.s = sizes
        self.model = Model(sizes)
        for name, parameter in self.model.named_parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=1 if name.endswith("latents") else 0.02)
        self.batches = Batches(sizes)
        parameters = list(self.model.parameters())
        groups = [
            {"params": [p for p in parameters if p.dim() > 1], "weight_decay": sizes["weightDecay"]},
            {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=sizes["learningRate"], betas=(0.9, 0.99))
        self.average = [p.detach().clone() for p in parameters]

    def run(self):
        """One step; returns the loss before it."""
        s = self.s
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.model.loss(self.batches.t2i(), self.batches.mmu())
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), s["clipNorm"])
        self.optimizer.step()
        with torch.no_grad():
            for mean, parameter in zip(self.average, self.model.parameters()):
                mean.lerp_(parameter, 1 - s["emaDecay"])
        return loss.item()
