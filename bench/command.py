#!/usr/bin/env python3
"""command.py KANHE [--quick]: whole commands, as a user runs them: CSV import (durable), verify of 500 lines, balance. One JSON line a figure."""
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

KANHE, QUICK = sys.argv[1], "--quick" in sys.argv
WORK = tempfile.mkdtemp(prefix="kanhe-bench-", dir=os.environ.get("KH_BENCH_DIR", "/var/tmp"))


def run(data, *arguments, ok=(0,)):
    started = time.perf_counter()
    done = subprocess.run([KANHE, "--data", os.path.join(WORK, data), "--json", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    if done.returncode not in ok:
        sys.exit(f"{' '.join(arguments)}: {done.stderr.decode()}")
    return time.perf_counter() - started


def figure(name, value, unit, against=None, ratio=None):
    print(json.dumps({"name": name, "value": value, "unit": unit, "against": against, "ratio": ratio}), flush=True)


def median(data, times, *arguments, ok=(0,)):
    return statistics.median(run(data, *arguments, ok=ok) for _ in range(times))


def main():
    empty = statistics.median(time_of(["/bin/true"]) for _ in range(21))
    figure("empty process", empty * 1000, "ms")
    sizes = [100_000, 1_000_000] if QUICK else [100_000, 10_000_000]
    for size in sizes:
        data = f"data{size}"
        lines = os.path.join(WORK, f"{size}.csv")
        run("none", "gen", "declarations", "--count", str(size), "--seed", "5", "-o", lines)
        run(data, "init")
        run(data, "party", "add", "--id", "11", "--role", "bank", "--name", "Bank A")
        copy = time_of(["cp", lines, lines + ".copy"]) + time_of(["sync", lines + ".copy"])
        took = run(data, "import", lines)
        figure(f"CSV import of {size} declarations, durable", size / took, "lines/s", "cp and sync of the file", copy / took)
        batch = os.path.join(WORK, "batch.csv")
        with open(lines) as source, open(batch, "w") as target:
            target.writelines(line for _, line in zip(range(501), source))
        with open(batch) as source:
            head = source.readline().strip().split(",")
            first = dict(zip(head, source.readline().strip().split(",")))
        took = median(data, 21, "verify", batch, "--as", "Bank A", ok=(0, 1))
        figure(f"verify of 500 lines with {size} documents, whole command", took * 1000, "ms", "empty process", took / empty)
        paper = f"{first['kind']}:{first['number']}"
        took = median(data, 21, "balance", paper)
        figure(f"balance with {size} documents after an import, whole command", took * 1000, "ms", "empty process", took / empty)
    return 0


def time_of(command):
    started = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - started


try:
    sys.exit(main())
finally:
    shutil.rmtree(WORK, ignore_errors=True)
