"""The ABCI server against a real CometBFT: one validator whose process, or whose application, dies at every point where it hurts.

CometBFT ends itself at the n-th of its own crash points (FAIL_TEST_INDEX), n = 0 to 40; then both sides are killed at random moments.
Between two of its crash points CometBFT is asked to end: it keeps no vote of the height that follows a block whose end its log lacks, so a
lone validator that dies there, and again within that height, never signs again (docs/OPERATIONS.md).
After each death heights must go on and every replayed block must give the hash that it gave before. CometBFT is looked for in
KH_COMETBFT, build/cometbft (tools/install cluster), PATH and ~/go/bin; without it nothing can be tested. FROM and TO in the environment narrow n; KILLS: how many."""
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

APP = os.environ["ABCI_APP"]
COMETBFT = next((p for p in (os.environ.get("KH_COMETBFT"), os.path.join(os.path.dirname(__file__), "../../build/cometbft/cometbft"),
                            shutil.which("cometbft"), os.path.expanduser("~/go/bin/cometbft")) if p and os.access(p, os.X_OK)), None)
FROM, TO, KILLS = (int(os.environ.get(k, v)) for k, v in (("FROM", 0), ("TO", 40), ("KILLS", 12)))
if not COMETBFT:
    print("1..0 # SKIP cometbft is not installed (tools/install cluster)")
    sys.exit(0)

seed = int(os.environ.get("SEED", random.randrange(1 << 30)))
print(f"# SEED={seed}", flush=True)
rnd = random.Random(seed)
count = failed = 0


def ok(good, name, more=""):
    global count, failed
    count += 1
    failed += not good
    print(f"{'ok' if good else 'not ok'} {count} - {name}", flush=True)
    if not good and more:
        print("".join(f"# {line}\n" for line in str(more).splitlines()), end="", flush=True)
    return good


class Pair:
    def __init__(self):
        self.root = tempfile.mkdtemp(prefix="kanhe-abci-")
        self.home, self.state = self.root + "/home", self.root + "/state"
        self.log = open(self.root + "/cometbft.log", "ab")
        self.comet = self.app = None
        subprocess.run([COMETBFT, "init", "--home", self.home], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def environment(self, crash_at=None):
        e = dict(os.environ, CMT_LOG_LEVEL="error", CMT_MEMPOOL_TYPE="nop", CMT_CONSENSUS_TIMEOUT_COMMIT="0s", CMT_TX_INDEX_INDEXER="null",
                 CMT_CONSENSUS_PEER_GOSSIP_SLEEP_DURATION="1ms", CMT_P2P_PEX="false", CMT_P2P_LADDR="tcp://127.0.0.1:0",
                 CMT_RPC_LADDR="tcp://127.0.0.1:0", CMT_PROXY_APP=f"unix://{self.root}/abci.sock")
        if crash_at is not None:
            e["FAIL_TEST_INDEX"] = str(crash_at)
        return e

    def start_app(self):
        self.app = subprocess.Popen([APP, self.root + "/abci.sock", self.state], stderr=self.log)
        for _ in range(6000):
            if os.path.exists(self.root + "/abci.sock"):
                return
            time.sleep(0.01)

    def start_comet(self, crash_at=None):
        self.comet = subprocess.Popen([COMETBFT, "start", "--home", self.home], env=self.environment(crash_at), stdout=self.log, stderr=self.log)

    def kill(self, *which):
        for p in which:
            if p is not None and p.poll() is None:
                p.kill()
            if p is not None:
                p.wait()

    def stop(self):
        """CometBFT ends between two heights, as it does when it is asked to."""
        self.comet.terminate()
        if not self.wait_end(60):
            self.kill(self.comet)

    def wait_end(self, seconds):
        """CometBFT's own end."""
        try:
            self.comet.wait(seconds)
            return True
        except subprocess.TimeoutExpired:
            return False

    def seen(self):
        """{height: set of hashes}, and the highest."""
        hashes = {}
        try:
            for line in open(self.state + ".seen"):
                height, hash_ = line.split()
                hashes.setdefault(int(height), set()).add(hash_)
        except FileNotFoundError:
            pass
        return hashes, max(hashes, default=0)

    def reaches(self, height, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.seen()[1] >= height:
                return True
            if self.app.poll() is not None:
                return False
            time.sleep(0.02)
        return False

    def sound(self):
        hashes, top = self.seen()
        return sorted(hashes) == list(range(1, top + 1)) and all(len(h) == 1 for h in hashes.values())

    def tail(self):
        self.log.flush()
        return "\n".join(open(self.root + "/cometbft.log", errors="replace").read().splitlines()[-12:])


def crash_points():
    pair = Pair()
    pair.start_app()
    for n in range(FROM, TO + 1):
        pair.start_comet(crash_at=n)
        died = pair.wait_end(60)
        pair.kill(pair.comet)
        before = pair.seen()[1]
        if n % 3 == 0:  # and the application loses what it had not saved
            pair.kill(pair.app)
            pair.start_app()
        pair.start_comet()
        good = pair.reaches(before + 4)
        pair.stop()
        if not ok(died and good and pair.sound(), f"crash point {n}: goes on behind height {before}", f"died {died}, goes on {good}\n{pair.tail()}"):
            break  # what follows would say the same, two minutes each
    pair.kill(pair.app, pair.comet)
    shutil.rmtree(pair.root)


def kills():
    pair = Pair()
    pair.start_app()
    pair.start_comet()
    for n in range(KILLS):
        height = pair.seen()[1]
        good = pair.reaches(height + 4)
        time.sleep(rnd.random() * 0.3)
        side = rnd.choice(("cometbft", "application", "both"))
        if side == "application":  # CometBFT sees it and ends by itself, if need be after more than TERM
            pair.kill(pair.app)
            if not pair.wait_end(5):
                pair.comet.terminate()
            if not pair.wait_end(5):
                pair.kill(pair.comet)
        pair.kill(pair.comet)
        if side != "cometbft":
            pair.kill(pair.app)
        first = rnd.random() < 0.5  # either may be there first
        if side != "cometbft" and first:
            pair.start_app()
        pair.start_comet()
        if side != "cometbft" and not first:
            time.sleep(0.3)
            pair.start_app()
        before = pair.seen()[1]
        good = good and pair.reaches(before + 4)
        ok(good and pair.sound(), f"kill {n}: {side}", pair.tail())
    pair.app.terminate()
    ok(pair.app.wait(60) == 0, "the application stops while CometBFT runs")
    pair.kill(pair.comet)
    shutil.rmtree(pair.root)


if TO >= FROM:
    crash_points()
if KILLS:
    kills()
print(f"1..{count}")
sys.exit(1 if failed else 0)
