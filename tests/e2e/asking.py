"""A party's program that asks without end (ask.c), and a hub with what it asks about."""
import atexit
from hub import *

ASK = os.environ["ASK"]
COUNT = 2000  # declarations, and questions that differ


def import_declarations(hub):
    """Into a hub that does not run."""
    path = os.path.join(hub.root, "d.csv")
    with open(path, "w") as f:
        f.write(declarations(COUNT))
    done = hub.kanhe("import", path)
    assert done.returncode == 0, done


class Ask:
    def __init__(self, hub, party=11, threads=2, address=None, prefix=()):
        cert, key = hub.authority.party(party, hub.roles[party])
        words = [*prefix, ASK, f"https://{hub.host}:{hub.port}", hub.authority.ca, cert, key, str(COUNT), str(threads), *([address] if address else [])]
        self.child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        atexit.register(self.child.kill)

    def ready(self):
        """Each thread has been answered."""
        return self.child.stdout.readline() == "asking\n"

    def totals(self):
        self.child.stdin.write("\n")
        self.child.stdin.flush()
        return self.read(self.child.stdout.readline())

    @staticmethod
    def read(line):
        words = line.split()
        return {name: int(value) for name, value in zip(words[::2], words[1::2])}

    def more(self, rounds, timeout=120):
        """Waits for so many more rounds; False where they do not come."""
        wanted, until = self.totals()["rounds"] + rounds, time.monotonic() + timeout
        while self.totals()["rounds"] < wanted:
            if time.monotonic() > until:
                return False
            time.sleep(0.02)
        return True

    def over(self, timeout=120):
        """Waits until it was told that its session is over, and none of its threads gets another answer: one may have been on its way."""
        before, until = self.totals(), time.monotonic() + timeout
        while time.monotonic() < until:
            time.sleep(0.3)
            now = self.totals()
            if now["failed"] > 0 and now["rounds"] == before["rounds"]:
                return True
            before = now
        return False

    def end(self):
        """The totals, and what it said on standard error."""
        out, err = self.child.communicate(timeout=60)
        self.said = err
        return self.read(out.splitlines()[-1]) if out else {}


def figure(hub, name, labels=""):
    """The sum of a metric over those of its series whose labels hold `labels`; name is a pattern."""
    text = hub.call(1, "GET", "/metrics", headers={})[1]
    return sum(int(value) for value in re.findall(r"^%s(?:\{[^}]*%s[^}]*\})? (\d+)$" % (name, labels), text, re.M))
