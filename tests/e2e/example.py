"""docs/example.c does what it says."""
from kanhe import *

tap = Tap()
d = Directory(init=False)
done = subprocess.run([os.environ["EXAMPLE"], d.data], capture_output=True, text=True, timeout=60)
tap.same((done.returncode, done.stdout), (0, "stored: 1\napplication 1: OK\napplication 2: INSUFFICIENT\nverify: OK, free 20000 minor units\n"), "the example's output")
tap.same(d.row("balance", "export_declaration:310120260000000001")[0].get("held"), "800.00", "the command sees what it did")
tap.ok(len(open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/example.c")).read().splitlines()) <= 60, "it has at most 60 lines")
d.close()
tap.end()
