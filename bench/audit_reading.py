"""A page of the audit trail with a million records, beside the same page with ten thousand."""

from __future__ import annotations

import sys
import time
from statistics import median

from bench.prepared import prepared

FEW, MANY = 10_000, 1_000_000
TIMES = 5
ROWS = 50
FILL = """
INSERT INTO servers_auditrecord (at, who, who_id, on_behalf_of, door, source, request_id, verb, object_type, object_id,
  object_name, project_id, "before", "after", reason)
WITH RECURSIVE n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {last})
SELECT {at}, CASE i % 10 WHEN 0 THEN 'anna' ELSE 'gantry' END, '', '', CASE i % 7 WHEN 0 THEN 'rest' ELSE 'system' END,
  'machine', 'req-' || i, CASE WHEN i = 5 THEN 'deleted' ELSE 'changed' END,
  CASE i % 3 WHEN 0 THEN 'server' ELSE 'action' END, 'object' || (i % 50000), 'web-' || (i % 50000), 'p' || (i % 20),
  CAST('{{"vm_state": "active", "host": 1}}' AS {json}), CAST('{{"vm_state": "error", "host": 2}}' AS {json}), ''
FROM n
"""
AT = {
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f000', '2026-01-01', (i * 10) || ' seconds')",
    "postgresql": "timestamptz '2026-01-01Z' + i * interval '10 seconds'",
}


def main() -> int:
    """Print the figures."""
    with prepared():
        from datetime import UTC, datetime

        from django.db import connection

        from servers.audit import reading
        from servers.audit.reading import Wanted

        def fill(first: int, last: int) -> None:
            json = "jsonb" if connection.vendor == "postgresql" else "text"
            with connection.cursor() as cursor:
                cursor.execute(FILL.format(first=first, last=last, at=AT[connection.vendor], json=json))
                cursor.execute("ANALYZE")

        middle = datetime(2026, 1, 1, 12, tzinfo=UTC)
        questions = {
            "everything": Wanted(),
            "who, often": Wanted(who="gantry"),
            "who, never": Wanted(who="nobody"),
            "door": Wanted(door="rest"),
            "kind": Wanted(object_type="server"),
            "project": Wanted(project_id="p7"),
            "an object": Wanted(object_type="server", object_id="object33"),
            "name": Wanted(object_name="web-33"),
            "request": Wanted(request_id="req-77"),
            "until": Wanted(until=middle),
            "since and until": Wanted(since=middle, until=middle),
            "kind until": Wanted(object_type="server", until=middle),
            "verb, once": Wanted(verb="deleted"),
            "who and verb, once": Wanted(who="gantry", verb="deleted"),
            "who, door and kind": Wanted(who="anna", door="rest", object_type="server"),
            "who and door, never": Wanted(who="gantry", door="sql"),
            "part of names, never": Wanted(name_part="zzz"),
        }

        def took(wanted: Wanted) -> float:
            times = []
            for _ in range(TIMES):
                begun = time.perf_counter()
                reading.page(wanted, ROWS)
                times.append(time.perf_counter() - begun)
            return median(times) * 1000

        fill(1, FEW)
        few = {name: took(wanted) for name, wanted in questions.items()}
        fill(FEW + 1, MANY)
        many = {name: took(wanted) for name, wanted in questions.items()}
        print(f"a page of {ROWS} on {connection.vendor}, with {FEW} and with {MANY} records:")
        for name in questions:
            print(f"  {name}: {few[name]:.1f} ms, {many[name]:.1f} ms")
        begun, lines = time.perf_counter(), 0
        for _ in reading.lines(Wanted(until=datetime(2026, 1, 7, tzinfo=UTC))):
            lines += 1
        print(f"  {lines} JSON lines: {time.perf_counter() - begun:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
