"""meson install: the product with samples of its configuration; over another installation, what an operator wrote stays."""
import stat
from kanhe import *

tap = Tap()
BUILD, SOURCE = os.environ["KH_BUILD_ROOT"], os.environ["KH_SOURCE_ROOT"]
root = tempfile.mkdtemp(prefix="kanhe-installed-")
etc = root + os.environ["CONFIGURATION"]
NAMES = ("hub.conf", "node.conf")


def install():
    done = subprocess.run([os.environ["MESON"], "install", "-C", BUILD, "--no-rebuild", "--destdir", root], capture_output=True, text=True, timeout=120)
    return tap.same(done.returncode, 0, "it is installed") or print("# " + (done.stdout + done.stderr)[-2000:].replace("\n", "\n# "))


def text_of(*words):
    with open(os.path.join(*words), "rb") as f:
        return f.read()


install()
samples = {name: text_of(SOURCE, "conf", name) for name in NAMES}
tap.same({name: text_of(etc, name) for name in os.listdir(etc)}, samples, "where there is no configuration, samples of it are")
mine = b"# as this house wants it\n"
hub, node = (os.path.join(etc, name) for name in NAMES)
with open(hub, "wb") as f:
    f.write(mine)
os.chmod(hub, 0o640)
os.remove(node)
with open(os.path.join(etc, "own.conf"), "wb") as f:
    f.write(mine)
before = os.stat(hub)
install()
tap.same((text_of(hub), stat.S_IMODE(os.stat(hub).st_mode), os.stat(hub).st_ino), (mine, 0o640, before.st_ino), "what the operator wrote stays, and stays the same file")
tap.same((text_of(node), sorted(os.listdir(etc))), (samples["node.conf"], ["hub.conf", "node.conf", "own.conf"]), "what he removed is there again, and what is none of ours stays")
documents = root + os.environ["DOCUMENTS"]
tap.same({name: text_of(documents, name) for name in NAMES}, samples, "the new samples stand beside the documentation")
shutil.rmtree(root, ignore_errors=True)
tap.end()
