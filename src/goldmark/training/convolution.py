"""Convolution that stacks on a GPU, where a grouped one, which is what `torch.func.vmap` makes, does run after run."""

from __future__ import annotations

from torch import Tensor, nn

from goldmark.training._vmap import under_vmap


class Conv1d(nn.Conv1d):
    """`nn.Conv1d`, which for a stack on a GPU is one batched product of all its windows."""

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, O, T') for x (B, C, T)."""
        return self.as_product(x) if x.is_cuda and under_vmap(self.weight) else super().forward(x)

    def as_product(self, x: Tensor) -> Tensor:
        """Return the same as a product of the windows (B T', C K) and the weights."""
        padded = nn.functional.pad(x, (int(self.padding[0]), int(self.padding[0])))
        windows = padded.unfold(-1, self.kernel_size[0], self.stride[0]).transpose(1, 2)  # (B, T', C, K)
        out = nn.functional.linear(windows.reshape(-1, self.weight[0].numel()), self.weight.flatten(1), self.bias)
        return out.view(len(x), -1, self.out_channels).transpose(1, 2)
