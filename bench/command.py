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
        if size != sizes[0]:
            behind_a_tail(data, size, paper)
    return 0


def stats(data):
    done = subprocess.run([KANHE, "--data", os.path.join(WORK, data), "--json", "stats"], capture_output=True, check=True)
    return json.loads(done.stdout)


def behind_a_tail(data, size, paper):
    """Applications, by a command that makes no image, until the log behind the newest image is nearly what a daemon would make one of."""
    requests, part = os.path.join(WORK, "requests.csv"), os.path.join(WORK, "part.csv")
    run("none", "gen", "requests", "--count", str(size // 2), "--seed", "5", "-o", requests)
    before, goal = stats(data)["log_bytes"], stats(data)["image_bytes"] * 0.48
    with open(requests) as source:
        head = source.readline()
        while (tail := stats(data)["log_bytes"] - before) < goal:
            with open(part, "w") as target:
                target.write(head)
                wanted = int(min(250_000, (goal - tail) / 100 + 1))
                lines = [line for _, line in zip(range(wanted), source)]
                target.writelines(lines)
            if not lines:
                break
            run(data, "finance", "apply", "--as", "Bank A", "--file", part, ok=(0, 1))
    took = median(data, 7, "balance", paper)
    figure(f"balance with {size} documents behind a tail of {tail >> 20} MB, whole command", took * 1000, "ms", "target 1500 ms", took / 1.5)


def time_of(command):
    started = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - started


try:
    sys.exit(main())
finally:
    shutil.rmtree(WORK, ignore_errors=True)
