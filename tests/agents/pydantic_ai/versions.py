"""What tests need that the oldest supported pydantic-ai does not have."""

import pytest
from pydantic_ai import capabilities

needs_fallback = pytest.mark.skipif(
    not hasattr(capabilities, "ModelFallback"), reason="this pydantic-ai has no ModelFallback"
)
