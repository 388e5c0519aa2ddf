"""What holds for every test."""

import importlib.util
import os
from pathlib import Path

import pytest
import torch

OFFLINE = Path(__file__).parent / "offline"
# Nobody listens there: programs that are not Python's end at once instead of reaching out.
NOWHERE = "http://127.0.0.1:9"


def pytest_configure():
    """Close the network for this process and, as far as can be, for those that it starts."""
    spec = importlib.util.spec_from_file_location("offline", OFFLINE / "sitecustomize.py")
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(OFFLINE), os.environ.get("PYTHONPATH")]))
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        os.environ[name] = NOWHERE
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = "localhost,127.0.0.1,::1"


@pytest.fixture(autouse=True)
def seed():
    """Begin each test with the same random state, whatever ran before it in the same process."""
    torch.manual_seed(0)
