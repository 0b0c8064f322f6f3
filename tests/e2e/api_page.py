"""docs/API.md: its shell blocks are run one after another in one shell, and print what the page says; … stands for anything."""
import re
import tempfile
from kanhe import *

ROOT = os.environ["KH_SOURCE_ROOT"]
tap = Tap()
root = tempfile.mkdtemp(prefix="kanhe-api-")
page = open(os.path.join(ROOT, "docs", "API.md"), encoding="utf-8").read().replace("/tmp/kanhe-hub", root + "/hub")
blocks = re.findall(r"^```(sh|text)\n(.*?)^```$", page, re.S | re.M)
shell = subprocess.Popen(["bash", "--noprofile", "--norc"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT,
                         env={**os.environ, "KANHE_BIN": COMMAND, "KANHED_BIN": os.environ["KANHED"]})


def run(script):
    shell.stdin.write(script + "\necho; echo \"done: $?\"\n")
    shell.stdin.flush()
    said = ""
    for line in shell.stdout:
        if line.startswith("done: "):
            return said[:-1] if said.endswith("\n\n") or said == "\n" else said
        said += line
    return said + "(the shell ended)"


try:
    for i, (kind, text) in enumerate(blocks):
        if kind == "text":
            continue
        said = run(text)
        wanted = blocks[i + 1][1] if i + 1 < len(blocks) and blocks[i + 1][0] == "text" else None
        name = text.strip().splitlines()[0]
        if wanted is None:
            tap.ok("rror" not in said, f"it runs: {name}", said)
        else:
            pattern = ".*".join(map(re.escape, wanted.strip().split("…")))
            tap.ok(re.fullmatch(pattern, said.strip()), f"it prints what the page says: {name}", said)
    calls = set(re.findall(r"`((?:GET|POST|PUT|DELETE) /[^` ]*)`", page))
    openapi = open(os.path.join(ROOT, "docs", "openapi.yaml"), encoding="utf-8").read()
    paths = set(re.findall(r"^  (/\S+):", openapi, re.M))
    named = {c.split()[1] for c in calls} | set(re.findall(r"`(/v1/[^` ]*)`", page)) | {"/v1/parties/{party}/unfreeze"}
    tap.same(sorted(paths - named), [], "every path of openapi.yaml is on the page")
finally:
    shell.stdin.close()
    shell.wait(10)
    subprocess.run([os.path.join(ROOT, "tools", "hub"), "down", root + "/hub"], capture_output=True)
    shutil.rmtree(root, ignore_errors=True)
tap.end()
