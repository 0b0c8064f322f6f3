"""kanhe check: receipts of made-up clusters, good and damaged, offline."""
import re

from kanhe import *

tap = Tap()
d = Directory(init=False)
subprocess.run([os.environ["CASES"], d.root, "7", "0"], check=True, capture_output=True)


def path(name):
    return os.path.join(d.root, name)


for nth, suite in ((0, "intl"), (1, "gm")):
    receipt, genesis = path(f"{nth}.receipt"), path(f"{nth}.genesis")
    row, status = d.row("check", receipt, "--genesis", genesis)
    tap.same((status, d.stderr, list(row)), (0, "", ["proven", "bank", "financing", "operation", "code", "name", "height", "chain"]), f"{suite}: proven")
    tap.same((row["proven"], row["bank"]), (True, 11), f"{suite}: whose it is")
    tap.same(len(row["chain"]), 64, f"{suite}: of which chain")
    done = d.raw("check", "--genesis", genesis, receipt)
    tap.ok(done.returncode == 0 and re.search(r"(?m)^operation +%s$" % row["operation"], done.stdout) and str(row["financing"]) in done.stdout, f"{suite}: for people", done.stdout)
    text = open(receipt, "rb").read()
    for name, damaged, step in (("a line end", text + b"\n", "form"), ("another height", re.sub(rb'("height":")(\d)', rb"\g<1>1\2", text, count=1), "chain"),
                                ("another salt", re.sub(rb'("salt":")..', rb"\g<1>00", text), "output"), ("nothing", b"", "form")):
        row, status = d.row("check", d.file("damaged", damaged), "--genesis", genesis)
        tap.same((status, row.get("proven"), row.get("step")), (1, False, step), f"{suite}: {name}: not proven")
        tap.ok(f"not proven: {step}: " in d.stderr and row["why"] in d.stderr, f"{suite}: {name}: and it says so", d.stderr)
row, status = d.row("check", path("0.receipt"), "--genesis", path("1.genesis"))
tap.same((status, row["step"]), (1, "chain"), "another cluster's genesis")
row, status = d.row("check", path("0.receipt"), "--genesis", path("0.receipt"))
tap.same((status, row["step"]), (1, "genesis"), "a genesis that is none")
row, status = d.row("check", path("0.receipt"), "--genesis", d.file("large", b" " * (17 << 20)))
tap.same((status, row["step"]), (1, "genesis"), "a genesis that is too long")
for words in (("check",), ("check", path("0.receipt")), ("check", "--genesis", path("0.genesis")), ("check", path("0.receipt"), path("0.receipt"), "--genesis", path("0.genesis")),
              ("check", path("nowhere"), "--genesis", path("0.genesis")), ("check", path("0.receipt"), "--genesis", path("nowhere"))):
    done = d.raw(*words)
    tap.ok(done.returncode == 2 and done.stdout == "" and done.stderr != "", "usage: " + " ".join(os.path.basename(w) for w in words), (done.returncode, done.stdout, done.stderr))
tap.ok(not os.path.exists(d.data), "no data directory is touched")
d.close()
tap.end()
