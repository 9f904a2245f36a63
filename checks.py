"""All checks in one command: ``python checks.py [pytest arguments]``.

Lint and format (ruff), types (mypy), then the tests, the architecture test among them.
"""

import os
import subprocess
import sys

COMMANDS = {
    "lint": [sys.executable, "-m", "ruff", "check", "."],
    "format": [sys.executable, "-m", "ruff", "format", "--check", "."],
    "types": [sys.executable, "-m", "mypy"],
    "tests": [sys.executable, "-m", "pytest", "-q", "-n", str(min(8, os.cpu_count() or 1))],
}


def main() -> int:
    """Run them all, in order; the exit status of the first that fails."""
    for name, command in COMMANDS.items():
        full = [*command, *sys.argv[1:]] if name == "tests" else command
        print(f"== {name}: {' '.join(full[1:])}", flush=True)
        status = subprocess.run(full, cwd=os.path.dirname(os.path.abspath(__file__))).returncode
        if status:
            print(f"== {name} failed", flush=True)
            return status
    print("== all checks passed", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
