"""What is asked of `depthwise_gate` alone; the rest is in test_net_ops.py."""

import pytest
import torch

from imgrestore.ops import depthwise_gate


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"x": torch.zeros(1, 3, 2, 2)}, ValueError, "x: got 3 channels, expected an even number"),
        ({"weight": 1.0}, TypeError, r"weight: got float, expected a torch\.Tensor"),
        ({"weight": torch.zeros(4, 1, 5, 5)}, ValueError, r"weight: got shape \(4, 1, 5, 5\), expected \(4, 1, 3, 3\)"),
        ({"bias": torch.zeros(3)}, ValueError, r"bias: got shape \(3,\), expected \(4,\) to go with x"),
    ],
)
def test_errors_name_the_argument(change, error, message):
    arguments = {"x": torch.zeros(1, 4, 2, 2), "weight": torch.zeros(4, 1, 3, 3), "bias": torch.zeros(4)}
    with pytest.raises(error, match=message):
        depthwise_gate(**{**arguments, **change})
