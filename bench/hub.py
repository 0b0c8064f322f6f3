#!/usr/bin/env python3
"""hub.py BUILD [--quick]: a hub as its users meet it, over loopback with mutual TLS 1.3: durable reserves in batches, in sealed datagrams and over
HTTPS, and one by one, with Redis (appendfsync always) beside them; a whole verify command; verdicts a second and core. One by one: each is a
frame of its own with an answer of its own; those that may go at the same moment share datagrams, as Redis' pipelined calls share a write, or,
where the figure says so, do not. One JSON line a figure; loopback has no wire, and says nothing of one."""
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

from trial import BUILD, QUICK, Trial, figure, papers

LOAD = "bench_hub"
ROWS, SECONDS, CLIENTS = 100_000, 3 if QUICK else 8, 4
PREPARED = 20_000_000 if QUICK else 50_000_000  # financings for which memory is ready beforehand, as many as come
ROUND = 1.5 if QUICK else 5  # seconds of each of three turns, single operations and Redis


def process_s(*words):
    began = time.perf_counter()
    subprocess.run(words, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def redis(trial):
    fresh = tempfile.mkdtemp(dir=trial.work)  # what is in a log of before, it would load first
    done = subprocess.run([os.path.join(BUILD, "bench", LOAD), "redis", fresh, str(ROUND)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def rate(said):
    return said["done"] / said["seconds"]


def batches(trial, what, name, how):
    before = trial.cpu_s()
    said = trial.load(LOAD, what, 11, SECONDS)
    figure(name, rate(said), "reserves/s", how)
    figure(f"{name}, of the daemon's processor time", (trial.cpu_s() - before) * 1e6 / said["done"], "us each")
    begun = [trial.begin(LOAD, what, 11, SECONDS, n) for n in range(CLIENTS)]
    figure(f"{name}, {CLIENTS} clients", sum(rate(trial.end(b)) for b in begun), "reserves/s", "4 in flight each")


def main():
    trial = Trial(keys=f"prepare_financings = {PREPARED};")
    try:
        trial.prepared()
        trial.open_ended()
        trial.command(1, "import", papers(trial.work, "all.csv", ROWS))
        few, many = papers(trial.work, "500.csv", 500), papers(trial.work, "10000.csv", 10_000)
        # whole commands first, on a quiet hub
        empty = statistics.median(process_s("/bin/true") for _ in range(21))
        took = statistics.median(trial.command(11, "verify", few) for _ in range(31))
        figure("network verify 500 lines whole command", took * 1000, "ms", "empty process", took / empty)
        trial.command(11, "verify", many)
        before = trial.cpu_s()
        said = trial.load(LOAD, "verify", 11, SECONDS, many)
        used = trial.cpu_s() - before
        figure("https verify 10000 lines", rate(said), "lines/s")
        figure("https verify 10000 lines per core", said["done"] / used, "lines/s", "of the daemon's processor time")
        batches(trial, "batch", "network durable reserve batch 256", "4 in flight, in sealed datagrams, as the client library chooses")
        batches(trial, "https", "network durable reserve batch 256, over HTTPS", "4 in flight")
        singles, apart, many, peers, used = [], [], [], [], 0
        for _ in range(3):
            before = trial.cpu_s()
            singles.append(trial.load(LOAD, "single", 11, ROUND, 256))
            used += trial.cpu_s() - before
            apart.append(trial.load(LOAD, "single", 11, ROUND, 256, 1))
            many.append(trial.load(LOAD, "single", 11, ROUND, 1024))
            peers.append(redis(trial))
        ours, alone, more, theirs = (statistics.median(map(rate, runs)) for runs in (singles, apart, many, peers))
        figure("network durable reserve single", ours, "reserves/s", "Redis, appendfsync always, 256 in flight, pipelined", ours / theirs)
        figure("network durable reserve single, of the daemon's processor time", used * 1e6 / sum(said["done"] for said in singles), "us each")
        figure("network durable reserve single, each in a datagram of its own", alone, "reserves/s", "Redis, as above", alone / theirs)
        figure("network durable reserve single, 1024 in flight", more, "reserves/s", "as many as 4 batches of 256, in sealed datagrams")
        figure("Redis appendfsync always reserve single", theirs, "reserves/s")
    finally:
        trial.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
