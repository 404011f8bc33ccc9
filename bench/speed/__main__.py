"""What streams cost on this machine: `make bench`.

Starts servers, publishers and a sink, each in processes of their own, and prints tables; the same figures go
to a file as JSON. The unit is the CPU of a loop that does nothing but receive and decrypt the same packets
(`bench.speed.bare`), measured in the same run. Nothing fails here when a bar is not met.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.speed.bars import judge
from bench.speed.course import FULL, QUICK, run
from bench.speed.material import FOLDER
from bench.speed.tables import render


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write."""
    options = _parse(arguments)
    began = datetime.now(UTC)
    results = run(QUICK if options.quick else FULL)
    bars = judge(results)
    print("\n".join(render(results, bars)))
    document = {
        "began": began.isoformat(timespec="seconds"),
        "quick": options.quick,
        **results.describe(),
        "bars": [bar.describe() for bar in bars],
    }
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(document, indent=1) + "\n")
    print(f"\nAll figures: {options.json}")
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.speed", description="What streams cost.")
    parser.add_argument("--quick", action="store_true", help="a minute instead of eight: fewer steps")
    parser.add_argument("--json", type=Path, default=FOLDER / "speed.json", help="file for all figures")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
