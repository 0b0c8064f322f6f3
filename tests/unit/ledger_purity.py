#!/usr/bin/env python3
"""The ledger, the wire and doc call nothing but kh_* and mem*: read from their archives' undefined symbols. TAP on stdout."""
import re
import subprocess
import sys

# (and the compiler's own 128-bit division)
ALLOWED = re.compile(r"^(kh_\w+|mem(cpy|move|set|cmp)|__u(div|divmod|mod)ti[34]|_GLOBAL_OFFSET_TABLE_)$")
# What sanitizers and compilers put (clang writes bcmp for memcmp) beside the program's own calls.
BUILD = re.compile(r"^(__(asan|ubsan|tsan|sanitizer|llvm|gcov|sancov)\w*|__stack_chk_fail|__tls_get_addr|bcmp)$")


def undefined(archive):
    out = subprocess.run(["nm", "-u", "-P", archive], capture_output=True, text=True, check=True).stdout
    return {line.split()[0] for line in out.splitlines() if line.strip() and not line.rstrip().endswith(":")}


def main():
    archives = sys.argv[1:]
    print(f"TAP version 13\n1..{len(archives)}")
    for i, archive in enumerate(archives, 1):
        symbols = undefined(archive)
        wrong = sorted(s for s in symbols if not ALLOWED.match(s) and not BUILD.match(s))
        good = not wrong and any(s.startswith("kh_") for s in symbols)
        print(f"{'ok' if good else 'not ok'} {i} - {archive.rsplit('/', 1)[-1]}" + (f" # {' '.join(wrong)}" if wrong else ""))


main()
