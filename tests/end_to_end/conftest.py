"""Assertions of the helpers say as much as those of the tests."""

import pytest

pytest.register_assert_rewrite("goalbridge.tests.end_to_end.runs")
