"""Files that commands write beside their output: verify's -o, an import's FILE.refused.csv, where they cannot be written or must not be."""
import os
from kanhe import *

tap = Tap()
d = Directory()
good = HEADER + f"export_declaration,{declaration(1)},{USCC_A},USD,10.00,2026-11-01\n"
mixed = d.file("mixed.csv", good + f"export_declaration,{declaration(2)},{USCC_A},USD,1e9,2026-11-01\n")
beside = mixed + ".refused.csv"


def status_of(*words):
    """The exit status; what was said is in d.stderr."""
    return d.rows(*words)[1]


def imported(what, why):
    row, status = d.row("import", mixed)
    tap.same((status, row.get("code")), (1, 10), f"{what}: the import is answered as ever")
    tap.ok(f"{beside} could not be written whole: {why}" in d.stderr, "and says what was not written, and why", d.stderr)


# ---- what was refused
os.mkdir(beside)
imported("a folder of that name", "Is a directory")
tap.ok(status_of("import", d.file("mixed.csv", good)) == 0 and os.path.isdir(beside) and "could not be removed" in d.stderr, "it is not removed where nothing is refused", d.stderr)
os.rmdir(beside)
d.file("mixed.csv", good + f"export_declaration,{declaration(2)},{USCC_A},USD,1e9,2026-11-01\n")
victim = d.file("victim", "mine")
os.symlink(victim, beside)
imported("a link of that name", "Too many levels of symbolic links")
tap.same(open(victim).read(), "mine", "what it names is left alone")
os.remove(beside)
os.mkfifo(beside)
imported("a pipe that nobody reads", "No such device or address")
os.remove(beside)
tap.ok(status_of("import", mixed) == 1 and len(open(beside).read().splitlines()) == 2, "a plain place: it is written")
d.file("mixed.csv", good)
tap.ok(status_of("import", mixed) == 0 and not os.path.exists(beside), "and goes when nothing is refused any more")

# ---- verdicts
paper = d.file("paper.csv", good)
tap.ok(status_of("verify", paper, "--as", 11, "-o", paper) == 2 and "is the file that is verified" in d.stderr, "verdicts are not written over the file that they are of", d.stderr)
tap.same(open(paper).read(), good, "which stays as it is")
link = os.path.join(d.root, "other-name.csv")
os.link(paper, link)
tap.same(status_of("verify", paper, "--as", 11, "-o", link), 2, "by another name neither")
tap.ok(status_of("verify", paper, "--as", 11, "-o", d.root) == 2 and "Is a directory" in d.stderr, "a folder", d.stderr)
tap.ok(status_of("verify", paper, "--as", 11, "-o", d.root + "/none/v.csv") == 2 and "No such file" in d.stderr, "a folder that is not there", d.stderr)
tap.ok(status_of("verify", paper, "--as", 11, "-o", "/dev/full") == 3 and "could not be written whole: No space left" in d.stderr, "a full disk", d.stderr)
tap.same(status_of("verify", paper, "--as", 11, "-o", "/dev/null"), 0, "a device")

# ---- files that hold no line are not all well
for name, text in (("empty.csv", ""), ("header.csv", None), ("blank.jsonl", "\n\n")):
    for words, header in ((("verify",), HEADER), (("finance", "apply", "--file"), "id,enterprise,product,amount,currency,kind,number\n"), (("finance", "events", "--file"), "id,event\n")):
        status = status_of(*words, d.file(name, header if text is None else text), "--as", 11)
        tap.ok(status == 1 and "the file holds no line" in d.stderr, f"{' '.join(words)} {name}", (status, d.stderr))
old = d.file("mac.csv", good.replace("\n", "\r"))
for words in (("import",), ("verify",)):
    row, status = d.row(*words, old, *(() if words == ("import",) else ("--as", 11)))
    tap.ok(status == 1 and (row["line"], row["code"]) == (1, 10) and "CR alone" in row["why"], f"{words[0]} of a file whose lines end with CR alone", row)
d.close()
tap.end()
