"""What the scripts about hubs that begin with a state share."""
from town import *

applied = iter(range(1, 400))
WORDS = ("--banks", "4", "--snapshot-blocks", "20", "--checkpoint-blocks", "40")


def declaration_of(number):
    return f"export_declaration:{declaration(number)}"


def apply(town, bank, wait=60):
    number = next(applied)
    return number, *town.apply(bank, number, "10.00", declaration_of(number % 200), wait=wait)


def said(town, name, event):
    return [line for line in town.events(name) if line["event"] == event]


def begins(town, tap, hubs):
    town.up()
    tap.same(town.row("hub1", 201, "import", town.write("papers.csv", owned([(i, "1000.00") for i in range(200)])))[0].get("stored"), 200, f"{hubs}: papers")
    for bank in (11, 12, 13, 14):
        tap.same(apply(town, bank)[1].get("name"), "OK", "a bank applies")
    held = lambda: sum(len(said(town, f"bank{bank}", "state_held")) > 0 for bank in (11, 12, 13, 14)) >= 3

    def goes_on():
        apply(town, 11)
        return held()
    tap.ok(town.until(goes_on, 240), "banks' nodes hold the state of a checkpoint")
    made = [line["height"] for name in town.urls if name.startswith("hub") for line in said(town, name, "state_made")]
    tap.ok(made, "that hubs have made", made)
    for bank in (11, 12, 13, 14):
        tap.same(apply(town, bank)[1].get("name"), "OK", "more comes behind it")
    return max(made) if made else 0


def loses_all(town, hub):
    town.must("kill", hub)
    shutil.rmtree(town.home(hub, "data"))
    shutil.rmtree(town.home(hub, "cometbft", "data"))


def level(town, names):
    """All have executed the same and say so."""
    audits = town.audits(names)
    return len({(a.get("executed_height"), a.get("content_digest")) for a in audits}) == 1 and audits[0].get("content_digest") is not None
