"""`make audit`: asks PyPI's database for known vulnerabilities of what constraints.txt pins.

Exit codes: 0 there are none; 1 there are some; 3 the database could not be asked, for some package
or at all: nothing is known. (pip-audit itself ends with 0 when it found a package nowhere.)
"""

import json
import subprocess
import sys

NONE, SOME, UNKNOWN = 0, 1, 3
COMMAND = (
    "pip_audit",
    "--no-deps",
    "--disable-pip",
    "--progress-spinner",
    "off",
    "--format",
    "json",
    "--requirement",
)


def judge(report: str, complaints: str) -> tuple[int, str]:
    """Exit code and message for what pip-audit has written to its two outputs."""
    try:
        packages = json.loads(report)["dependencies"]
    except (ValueError, KeyError, TypeError):
        reason = (complaints.strip().splitlines() or ["no answer"])[-1]
        return (
            UNKNOWN,
            f"the vulnerability database cannot be reached, nothing was audited: {reason}",
        )
    vulnerable = [
        f"{package['name']} {package['version']}: {found['id']}, fixed in"
        f" {', '.join(found['fix_versions']) or 'no version'}"
        for package in packages
        for found in package.get("vulns", [])
    ]
    if vulnerable:
        return SOME, "\n".join([f"{len(vulnerable)} known vulnerabilities", *vulnerable])
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    if len(skipped) == len(packages):
        return (
            UNKNOWN,
            "the vulnerability database cannot be reached, nothing was audited: it knows none of"
            " the packages",
        )
    if skipped:
        return (
            UNKNOWN,
            f"the vulnerability database did not answer for {len(skipped)} of {len(packages)}:"
            f" {', '.join(skipped)}",
        )
    return NONE, f"{len(packages)} packages, no known vulnerability"


def main() -> int:
    """The command: `python .ci/audit.py constraints.txt`."""
    done = subprocess.run(
        [sys.executable, "-m", *COMMAND, *sys.argv[1:]], capture_output=True, text=True, check=False
    )
    code, message = judge(done.stdout, done.stderr)
    print(f"audit: {message}", file=sys.stderr if code else sys.stdout)
    return code


if __name__ == "__main__":
    sys.exit(main())
