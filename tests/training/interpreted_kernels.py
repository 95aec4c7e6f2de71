"""Print which draws of the kernels equal those of torch; TRITON_INTERPRET=1 has to be set."""

from __future__ import annotations

import torch
from torch.func import vmap

from goldmark.training import _kernels as kernels
from goldmark.training import attention, draws

KEYS = torch.tensor([5, -7, 2**62 + 11])
LENGTHS = ((7, 4), (5, 8))  # queries, and how many of them a block takes
SHARES = torch.tensor([0.1, 0.3, 0.75], dtype=torch.float64)


def say(what, one, other):
    """Print whether two tensors have the same bits."""
    print(f"{what}: {'equal' if one.dtype == other.dtype and torch.equal(one, other) else 'different'}")


def torch_dropped(key, x, p):
    """What torch's operations drop."""
    return draws.Draws(key).dropped("site", x, p)


def kernel_dropped(key, x, p):
    """What the kernel drops."""
    at_site = draws.Draws(key)._key("site", tuple(x.shape))  # noqa: SLF001
    return kernels.dropped(x, at_site, draws._lowest_kept(p), (1 / (1 - p)).to(x.dtype))  # noqa: SLF001


def attended_by(kernels_here, size, tensors):
    """Outputs of a stack, the gradients of queries, keys and values, and the outputs of its second run alone."""
    attention.kernels_of, attention._QUERIES = lambda tensor: kernels_here, size  # noqa: SLF001
    length, own = tensors[0].shape[-2], [tensor.clone().requires_grad_() for tensor in tensors]
    mask = torch.full((length, length), -torch.inf, dtype=tensors[0].dtype).triu(1)
    dropout = draws.Dropout(0.5, "site")

    def attend(key, p, *of_run):
        dropout.p = p
        return attention.causal_attention(*of_run, mask, dropout, draws.Draws(key))

    outputs = vmap(attend)(KEYS, SHARES, *own)
    grads = torch.autograd.grad((outputs.sin() + outputs).sum(), own)
    return [outputs, *grads, attend(KEYS[1], SHARES[1], *(tensor[1] for tensor in own))]


def say_attention(dtype, length, size):
    """Print whether kernels attend as torch's operations do, to rounding."""
    tensors = [torch.randn(3, 1, length, 2, 4, dtype=dtype).transpose(2, 3) for _ in range(3)]
    sides = [attended_by(those, size, tensors) for those in (None, kernels)]
    bound = 1e-4 if dtype == torch.float32 else 1e-12
    close = all(float((one - other).detach().abs().max()) < bound for one, other in zip(*sides, strict=True))
    print(f"attention {str(dtype).removeprefix('torch.')} {length} by {size}: {'close' if close else 'different'}")


def of_stack(dropped, x):
    """Outputs of a stack, their gradients, and the outputs of its first run alone."""
    own = x.clone().requires_grad_()
    outputs = vmap(dropped)(KEYS, own, SHARES)
    (grads,) = torch.autograd.grad((outputs.square() + outputs).sum(), [own])
    return {"outputs": outputs, "gradients": grads, "outputs of a run alone": dropped(KEYS[0], x[0], SHARES[0])}


def main():
    """Compare all of them."""
    for n in (1, 7, 4099):
        say(f"bits {n}", kernels.bits(KEYS, n), draws.bits(KEYS, n))
        say(f"uniform {n}", kernels.uniform(KEYS, (n,)), draws.uniform(KEYS, (n,)))
        stack = vmap(kernels.uniform, in_dims=(0, None))(KEYS, (1, n))
        say(f"uniform of a stack {n}", stack, draws.uniform(KEYS, (1, n)))
    for dtype in (torch.float32, torch.float64):
        for shape in ((5, 13), (1030,)):
            x = torch.randn(3, *shape, dtype=dtype)
            expected, actual = of_stack(torch_dropped, x), of_stack(kernel_dropped, x)
            for what, tensor in actual.items():
                say(f"{what} {str(dtype).removeprefix('torch.')} {shape}", tensor, expected[what])
        for length, size in LENGTHS:
            say_attention(dtype, length, size)
    print(*((actual["outputs"] == 0).double().mean(dim=1).tolist()))


if __name__ == "__main__":
    main()
