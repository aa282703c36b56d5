#!/usr/bin/env python3
"""The command `deepring` as grade.py asks it: as_deepring.py DEEPRING KIND FILE [OPTION …]. Kinds for which it has no
command are not tried."""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile

NOT_TRIED = 64

def main():
    parser = argparse.ArgumentParser(description="deepring, as grade.py asks it")
    for name in ["deepring", "kind", "file"]:
        parser.add_argument(name)
    for name in ["owner", "trust", "key", "ring", "outline", "require", "nonce", "log-key", "validators", "checkpoint"]:
        parser.add_argument("--" + name)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        trust, key = os.path.join(folder, "trust.json"), os.path.join(folder, "secret.key")
        if args.trust:
            shutil.copyfile(args.trust, trust)
            os.chmod(trust, 0o600)
        if args.key:                                                 # those of vectors/ are for everybody to read
            shutil.copyfile(args.key, key)
            os.chmod(key, 0o600)
        owner = ["--owner", args.owner] if args.owner else []
        asked = [f"--{name}={value}" for name in ["require", "nonce"] if (value := getattr(args, name))]
        log = ["--validators", args.validators] if args.validators else ["--ledger-key", args.log_key or ""]
        commands = {
            "ring": ["verify", args.file, *owner, *(["--key", key] if args.key else [])],
            "receipt": ["receipt", "verify", args.file, "--ring", args.ring or "", *owner, *asked],
            "certificate": ["certificate", "verify", args.file, *owner, *log, *asked],
        }
        if args.kind not in commands:
            return NOT_TRIED
        command = [args.deepring, *commands[args.kind], "--json", "--trust", trust]
        return subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode

if __name__ == "__main__":
    sys.exit(main())
