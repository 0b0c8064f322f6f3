#!/usr/bin/env python3
"""hub.py BUILD [--quick]: a hub as its users meet it, over loopback with mutual TLS 1.3: durable reserves in batches over HTTPS and one
by one in sealed datagrams, with Redis (appendfsync always) beside them; a whole verify command; verdicts a second and core. The hub is
tools/hub's trial, its data under $KH_BENCH_DIR or /var/tmp. One JSON line a figure; loopback has no wire, and says nothing of one."""
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD, QUICK = os.path.abspath(sys.argv[1]), "--quick" in sys.argv
KANHE, KANHED, LOAD = (os.path.join(BUILD, p) for p in ("tools/kanhe/kanhe", "engine/app/kanhed", "bench/bench_hub"))
WORK = tempfile.mkdtemp(prefix="kanhe-hub-", dir=os.environ.get("KH_BENCH_DIR", "/var/tmp"))
HUB = os.path.join(WORK, "hub")
ENVIRONMENT = {**os.environ, "KANHE_BIN": KANHE, "KANHED_BIN": KANHED}
ROWS, SECONDS = 100_000, 3 if QUICK else 10
USCC = "91350211M000100Y43"


def figure(name, value, unit, against=None, ratio=None):
    print(json.dumps({"name": name, "value": value, "unit": unit, "against": against, "ratio": ratio}), flush=True)


def hub(verb):
    subprocess.run([os.path.join(ROOT, "tools", "hub"), verb, HUB], check=True, env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    if verb == "up":
        env = json.load(open(os.path.join(HUB, "env.json")))
        identities = {p["id"]: (os.path.join(HUB, p["cert"]), os.path.join(HUB, p["key"])) for p in env["parties"]}
        return env["url"], os.path.join(HUB, env["ca"]), env["pid"], identities
    return None


def command(to, party, *words, ok=(0,)):
    url, ca, _, identities = to
    began = time.perf_counter()
    done = subprocess.run([KANHE, "--connect", url, "--ca", ca, "--cert", identities[party][0], "--key", identities[party][1], "--json", *words],
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode not in ok:
        sys.exit(f"hub.py: {' '.join(words)}: {done.stderr}")
    return time.perf_counter() - began


def load(to, what, seconds=SECONDS, *more):
    url, ca, _, identities = to
    words = [LOAD, what, url, ca, *identities[11], str(seconds), *more] if what != "redis" else [LOAD, "redis", WORK, str(seconds)]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"hub.py: {what}: {done.stderr}")
    if done.stderr:
        print(f"hub.py: {what}: {done.stderr.strip()}", file=sys.stderr)
    said = json.loads(done.stdout.splitlines()[-1])
    return said["done"], said["seconds"]


def cpu_s(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def process_s(*words):
    began = time.perf_counter()
    subprocess.run(words, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def papers(name, count):
    path = os.path.join(WORK, name)
    with open(path, "w") as f:
        f.write("kind,number,owner_id,currency,amount,date\n")
        f.writelines(f"export_declaration,310120260{i:09d},{USCC},USD,1000000.00,2026-11-01\n" for i in range(count))
    return path


def main():
    to = hub("up")
    try:
        command(to, 1, "import", papers("all.csv", ROWS))
        few, many = papers("500.csv", 500), papers("10000.csv", 10_000)
        # whole commands first, on a quiet hub
        empty = statistics.median(process_s("/bin/true") for _ in range(21))
        took = statistics.median(command(to, 11, "verify", few) for _ in range(31))
        figure("network verify 500 lines whole command", took * 1000, "ms", "empty process", took / empty)
        command(to, 11, "verify", many)
        before = cpu_s(to[2])
        done, seconds = load(to, "verify", SECONDS, many)
        used = cpu_s(to[2]) - before
        figure("https verify 10000 lines", done / seconds, "lines/s")
        figure("https verify 10000 lines per core", done / used, "lines/s", "of the daemon's processor time")
        done, seconds = load(to, "batch")
        figure("network durable reserve batch 256", done / seconds, "reserves/s", "4 in flight over HTTPS")
        singles = [load(to, "single") for _ in range(1 if QUICK else 3)]
        redis = [load(to, "redis") for _ in range(1 if QUICK else 3)]
        ours, theirs = (statistics.median(d / s for d, s in runs) for runs in (singles, redis))
        figure("network durable reserve single", ours, "reserves/s", "Redis, appendfsync always, 256 in flight", ours / theirs)
        figure("Redis appendfsync always reserve single", theirs, "reserves/s")
    finally:
        hub("down")
    return 0


try:
    sys.exit(main())
finally:
    shutil.rmtree(WORK, ignore_errors=True)
