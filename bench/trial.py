"""What the benchmarks of a running hub share: tools/hub's trial in a folder of its own, whole commands, load programs, figures."""
import json
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD, QUICK = os.path.abspath(sys.argv[1]), "--quick" in sys.argv
KANHE, KANHED = (os.path.join(BUILD, p) for p in ("tools/kanhe/kanhe", "engine/app/kanhed"))
ENVIRONMENT = {**os.environ, "KANHE_BIN": KANHE, "KANHED_BIN": KANHED}
USCC = "91350211M000100Y46"


def figure(name, value, unit, against=None, ratio=None):
    print(json.dumps({"name": name, "value": value, "unit": unit, "against": against, "ratio": ratio}), flush=True)


def papers(folder, name, count, number=310120260_000000000):
    path = os.path.join(folder, name)
    with open(path, "w") as f:
        f.write("kind,number,owner_id,currency,amount,date\n")
        f.writelines(f"export_declaration,{number + i},{USCC},USD,1000000.00,2026-11-01\n" for i in range(count))
    return path


class Trial:
    """A hub on loopback, its data under $KH_BENCH_DIR or /var/tmp; gone with `close`."""

    def __init__(self, banks=2, keys=""):
        self.work = tempfile.mkdtemp(prefix="kanhe-hub-", dir=os.environ.get("KH_BENCH_DIR", "/var/tmp"))
        self.dir = os.path.join(self.work, "hub")
        self.banks = banks
        self.hub("up")
        if keys:
            self.hub("down")
            with open(os.path.join(self.dir, "hub.conf"), "a") as f:
                f.write(keys + "\n")
            self.hub("up")

    def hub(self, verb):
        words = [os.path.join(ROOT, "tools", "hub"), verb, self.dir] + (["--banks", str(self.banks)] if verb == "up" else [])
        subprocess.run(words, check=True, env=ENVIRONMENT, stdout=subprocess.DEVNULL)
        if verb == "up":
            env = json.load(open(os.path.join(self.dir, "env.json")))
            self.url, self.ca, self.pid = env["url"], os.path.join(self.dir, env["ca"]), env["pid"]
            self.identities = {p["id"]: (os.path.join(self.dir, p["cert"]), os.path.join(self.dir, p["key"])) for p in env["parties"]}

    def prepared(self):
        """Waits until the memory that its configuration prepares is ready."""
        context = ssl.create_default_context(cafile=self.ca)
        context.load_cert_chain(*self.identities[1])
        while True:
            with urllib.request.urlopen(self.url + "/metrics", context=context, timeout=20) as answer:
                if b"\nkanhe_memory_unprepared_bytes 0\n" in answer.read():
                    return
            time.sleep(0.1)

    def open_ended(self):
        """Room for all financings that a ledger can ever hold: a run is not to end at what the rules say, 16 M."""
        self.command(1, "rule", "set", "capacity_financings", str(64 << 20))

    def close(self):
        self.hub("down")
        shutil.rmtree(self.work, ignore_errors=True)

    def command(self, party, *words):
        """Seconds of a whole command."""
        cert, key = self.identities[party]
        began = time.perf_counter()
        done = subprocess.run([KANHE, "--connect", self.url, "--ca", self.ca, "--cert", cert, "--key", key, "--json", *words],
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(words)}: {done.stderr}")
        return time.perf_counter() - began

    def begin(self, program, what, party, seconds, *more):
        words = [os.path.join(BUILD, "bench", program), what, self.url, self.ca, *self.identities[party], str(seconds), *map(str, more)]
        return what, subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    @staticmethod
    def end(begun):
        what, child = begun
        out, err = child.communicate()
        if child.returncode:
            sys.exit(f"{what}: {err}")
        if err:
            print(f"{what}: {err.strip()}", file=sys.stderr)
        return json.loads(out.splitlines()[-1])

    def load(self, *words):
        return self.end(self.begin(*words))

    def cpu_s(self):
        fields = open(f"/proc/{self.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
