"""What holds for every test."""

import pytest
import torch


@pytest.fixture(autouse=True)
def seed():
    """Begin each test with the same random state, whatever ran before it in the same process."""
    torch.manual_seed(0)
