"""Nodes whose clocks are wrong: kanhed of a bank or a hub that is twenty minutes ahead, or behind. Block time is the others': what they ask is granted as
ever, holds lapse when they do elsewhere, and nobody's state differs. (CometBFT asks the kernel past the C library: its clock stays right.)"""
import calendar
from town import *

AHEAD, BEHIND = 1200, -1200
tap = Tap()
root = tempfile.mkdtemp(prefix="kanhe-clocks-")
town = Town(root, "town")


def turn(name, seconds):
    """The node begins again with another clock."""
    town.must("kill", name)
    if seconds:
        os.environ.update(LD_PRELOAD=os.environ["WRONG_CLOCK"], WRONG_CLOCK_S=str(seconds))
    try:
        well = town.well(tap, f"{name}: {seconds} s", "start", name)
    finally:
        os.environ.pop("LD_PRELOAD", None)
    if not well:
        print("#", [e for e in town.events(name) if e["level"] == "error"][-2:])


def ahead(name):
    """By how many minutes kanhed's clock is ahead, as its newest `ready` tells."""
    newest = [event["time"] for event in town.events(name) if event["event"] == "ready"][-1]
    return round((calendar.timegm(time.strptime(newest[:19], "%Y-%m-%dT%H:%M:%S")) - time.time()) / 60)


def asks(bank, id_, number):
    row, status = town.apply(bank, id_, "10.00", f"export_declaration:{declaration(number)}")
    return row.get("code"), row.get("attested"), status


def older_certificates():
    """Those that are made from here on are a day old: else a clock that is behind has them not valid yet."""
    folder = os.path.join(root, "bin")
    os.mkdir(folder)
    with open(os.path.join(folder, "openssl"), "w", encoding="utf-8") as f:
        f.write(f'#!/bin/sh\nLD_PRELOAD={os.environ["WRONG_CLOCK"]} WRONG_CLOCK_S=-86400 exec {shutil.which("openssl")} "$@"\n')
    os.chmod(f.name, 0o755)
    os.environ["PATH"] = f"{folder}:{os.environ['PATH']}"


def begins():
    older_certificates()
    if not town.well(tap, "up", "up"):
        tap.end()
    town.look()
    tap.same(town.raw("hub1", 201, "import", town.write("d.csv", declarations(9))).returncode, 0, "the source imports")


def all_go_on(what, ids):
    """Every bank asks, and holds the same order."""
    got = [asks(bank, ids, number) for bank, number in ((11, 1), (12, 2), (13, 3), (14, 4))]
    tap.same(got, [(0, True, 0)] * 4, f"{what}: every bank is granted what it asks")
    height = town.audit("hub1")["attested_height"]
    tap.ok(town.until(lambda: all(town.audit(n).get("height", 0) >= height for n in town.urls)), "all have it")
    tap.same(len({town.audit(n, height)["digest"] for n in town.urls}), 1, "in one order")


try:
    begins()
    turn("bank11", AHEAD)
    turn("bank12", BEHIND)
    tap.same((ahead("bank11"), ahead("bank12")), (20, -20), "their clocks are wrong")
    all_go_on("banks that are ahead and behind", 1)
    turn("hub1", AHEAD)
    all_go_on("a hub that is ahead", 2)
    tap.same(town.raw("hub1", 201, "import", town.write("e.csv", declarations(12))).returncode, 0, "a source imports at it")
    turn("hub1", BEHIND)
    all_go_on("a hub that is behind", 3)
    tap.same(town.raw("hub1", 201, "import", town.write("f.csv", declarations(15))).returncode, 0, "a source imports at it")
    turn("hub1", 0)
    turn("bank11", 0)
    turn("bank12", 0)
    all_go_on("all are right again", 4)
    tap.same(town.alerts(), [], "nobody is called a liar")
finally:
    if os.path.isdir(town.dir):
        town.tool("down")
    shutil.rmtree(root, ignore_errors=True)
tap.end()
