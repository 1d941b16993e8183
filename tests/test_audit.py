"""`make audit` judges the output of pip-audit.

A database without an answer is no clean bill.
"""

import importlib.util
import json
from pathlib import Path

import pytest

AUDIT = Path(__file__).parent.parent / ".ci" / "audit.py"


@pytest.fixture(scope="module")
def judge():
    spec = importlib.util.spec_from_file_location("audit", AUDIT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.judge


CLEAN = {"name": "numpy", "version": "2.0", "vulns": []}
BAD = {
    "name": "rich",
    "version": "1.0",
    "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1"]}, {"id": "PYSEC-2", "fix_versions": []}],
}
ABSENT = {"name": "torch", "skip_reason": "Dependency not found on PyPI"}


@pytest.mark.parametrize(
    ("packages", "code", "message"),
    [
        ([CLEAN, CLEAN], 0, "2 packages, no known vulnerability"),
        (
            [CLEAN, BAD, ABSENT],
            1,
            "2 known vulnerabilities\nrich 1.0: PYSEC-1, fixed in 1.1\nrich 1.0: PYSEC-2, fixed in"
            " no version",
        ),
        ([CLEAN, ABSENT], 3, "did not answer for 1 of 2: torch"),
        ([ABSENT, ABSENT], 3, "cannot be reached, nothing was audited"),
        ([], 3, "cannot be reached, nothing was audited"),
    ],
)
def test_a_report(judge, packages, code, message):
    found, text = judge(json.dumps({"dependencies": packages, "fixes": []}), "")
    assert found == code
    assert message in text


@pytest.mark.parametrize("report", ["", "No known vulnerabilities found", "[]", "{}"])
def test_no_report_is_no_clean_bill(judge, report):
    code, text = judge(report, "Traceback\nConnectionError: no route to host\n")
    assert code == 3
    assert "cannot be reached, nothing was audited: ConnectionError: no route to host" in text
