"""docs/examples/client.c, compiled against an installed product by its pkg-config file and run against a trial hub; static and shared."""
import tempfile
from kanhe import *
from trial import ROOT, Trial

BUILD = os.environ["KH_BUILD_ROOT"]
SOURCE = os.path.join(ROOT, "docs", "examples", "client.c")
tap = Tap()
root = tempfile.mkdtemp(prefix="kanhe-client-")
done = subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", root], capture_output=True, text=True)
tap.same(done.returncode, 0, "the product is installed")
written = [os.path.join(folder, "hub.conf") for folder, _, files in os.walk(root) if "hub.conf" in files and "etc" in folder]
with open(written[0], "w") as f:
    f.write("mine")
done = subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", root], capture_output=True, text=True)
tap.ok(done.returncode == 0 and open(written[0]).read() == "mine" and len(written) == 1, "installed again, it leaves what the operator wrote", (written, done.stderr))
found = [folder for folder, _, files in os.walk(root) if "kanhe-client.pc" in files]
tap.same(len(found), 1, "with kanhe-client.pc")
environment = {**os.environ, "PKG_CONFIG_PATH": found[0], "PKG_CONFIG_SYSROOT_DIR": root}
libraries = os.path.dirname(found[0])


def flags(*words):
    return subprocess.run(["pkg-config", *words, "kanhe-client"], capture_output=True, text=True, env=environment, check=True).stdout.split()


soname = subprocess.run(["readelf", "-d", os.path.join(libraries, "libkanhe-client.so")], capture_output=True, text=True).stdout
tap.ok("libkanhe-client.so.0]" in soname and "libcurl" in soname, "the shared library has a soname, and libcurl", soname)
needed = subprocess.run(["ldd", os.path.join(libraries, "libkanhe-client.so")], capture_output=True, text=True).stdout
tap.ok(not any(f"/{name}" in needed for name in ("libmicrohttpd", "librte", "libjemalloc", "liburing")), "and nothing of the engine's or the daemon's", needed)
exported = subprocess.run(["nm", "-D", "--defined-only", os.path.join(libraries, "libkanhe-client.so")], capture_output=True, text=True).stdout
names = {line.split()[-1].split("@")[0] for line in exported.splitlines() if " T " in line}
tap.ok(names and all(n.startswith("kh_client_") for n in names), "it exports kh_client_… alone", sorted(names))

hub = Trial()
try:
    doc = declaration(1)
    batch = os.path.join(hub.work, "batch.csv")
    with open(batch, "w") as f:
        f.write(HEADER + f"export_declaration,{doc},{USCC_A},USD,1000.00,2026-11-01\nexport_declaration,{declaration(2)},{USCC_A},USD,1.00,2026-11-01\n")
    with open(os.path.join(hub.work, "d.csv"), "w") as f:
        f.write(HEADER + f"export_declaration,{doc},{USCC_A},USD,1000.00,2026-11-01\n")
    assert hub.rows(201, "import", "d.csv")[1] == 0, hub.stderr
    for kind, words in (("shared", flags("--cflags", "--libs")), ("static", None)):
        program = os.path.join(root, "client-" + kind)
        if words is None:
            words = flags("--cflags") + [os.path.join(libraries, "libkanhe-client.a")] + [w for w in flags("--libs", "--static") if w != "-lkanhe-client"]
            words = [w for w in words if w.startswith(("-I", "-L", "/"))] + ["-lcurl", "-lssl", "-lcrypto", "-lsodium", "-ljansson", "-lxml2", "-lconfig", "-lxxhash", "-lIPSec_MB", "-pthread"]
        built = subprocess.run(["cc", "-Wall", "-Wextra", "-Werror", SOURCE, "-o", program, *words], capture_output=True, text=True)
        if not tap.ok(built.returncode == 0, f"{kind}: it compiles", built.stderr):
            continue
        cert, key = hub.identities[11]
        done = subprocess.run([program, hub.url, hub.ca, cert, key, batch, "export_declaration:" + doc, USCC_A, "1000.00"], capture_output=True, text=True, timeout=60,
                              env={**os.environ, "LD_LIBRARY_PATH": libraries})
        free = "1000.00" if kind == "shared" else "999.00"
        wanted = (f"currency=USD free={free} \nline=2 name=OK free={free} \nline=3 name=NOT_FOUND \n" + "id=900001 name=OK state=APPLIED \n" * 2 + "looked up: OK\n")
        tap.same((done.returncode, done.stdout, done.stderr), (0, wanted, ""), f"{kind}: it prints what it should")
    lines = open(SOURCE).read().splitlines()
    tap.ok(len(lines) <= 65, "it is short", len(lines))
finally:
    hub.close()
    shutil.rmtree(root, ignore_errors=True)
tap.end()
