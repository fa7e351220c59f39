"""Runs the peer's model on weights and batches written by the other side: shows that both are the same model.

Usage: python3 nano_check.py FOLDER. FOLDER holds check.json, {"sizes", "weights", "t2i", "mmu"}; each tensor is
{"file", "shape", "dtype"} beside it, raw and little-endian. Prints {"t2i", "mmu", "balance", "loss", "gradients"}: mean
cross-entropies by row, balances, the loss of a step and the norm of its gradient by parameter.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch

from nano_step import Model, packed_positions

folder = Path(sys.argv[1])
check = json.loads((folder / "check.json").read_text())


def tensor(entry):
    values = np.fromfile(folder / entry["file"], dtype=entry["dtype"]).reshape(entry["shape"])
    return torch.from_numpy(values.astype(np.int64) if entry["dtype"] == "int32" else values)


sizes = check["sizes"]
model = Model({**sizes, "positions": packed_positions(sizes)})
model.load_state_dict({name: tensor(entry) for name, entry in check["weights"].items()})
t2i, mmu = ({name: tensor(entry) for name, entry in check[task].items()} for task in ("t2i", "mmu"))
_, t2i_balance, t2i_rows = model.t2i(t2i)
_, mmu_balance, mmu_rows = model.mmu(mmu)
loss = model.loss(t2i, mmu)
loss.backward()
print(
    json.dumps(
        {
            "t2i": t2i_rows.tolist(),
            "mmu": mmu_rows.tolist(),
            "balance": [t2i_balance.item(), mmu_balance.item()],
            "loss": loss.item(),
            "gradients": {
                name: 0.0 if p.grad is None else p.grad.norm().item() for name, p in model.named_parameters()
            },
        }
    )
)
