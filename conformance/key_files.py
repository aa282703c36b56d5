#!/usr/bin/env python3
"""Encrypted key files, held against the `age` command: each reads what the other wrote, and neither with another passphrase.

usage: key_files.py DEEPRING [AGE]
"""

import os
import pty
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

RIGHT, WRONG = "correct horse battery", "correct horse batterie"


def hidden(terminal, command):
    """Waits until what is typed is not shown, as a person does without knowing: programs prompt first."""
    for _ in range(500):
        if not termios.tcgetattr(terminal)[3] & termios.ECHO:
            return
        time.sleep(0.01)
    sys.exit(f"{command}: a passphrase would be shown")


def at_terminal(command, lines, folder):
    """Runs a command at a terminal of its own, typing a line at each prompt; returns its exit code and what the terminal showed."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.execvp(command[0], [str(word) for word in command])
    shown, left = b"", list(lines)
    while True:
        try:
            part = os.read(terminal, 4096)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        shown += part
        # A prompt ends in a colon, and nothing follows it.
        if left and shown.rstrip(b" ").endswith(b":"):
            hidden(terminal, command)
            os.write(terminal, left.pop(0).encode() + b"\n")
    os.close(terminal)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    shown = shown.decode(errors="replace")
    for line in lines:
        assert line not in shown.replace("\x03", ""), f"{command}: the passphrase was shown"
    return code, shown


def main():
    deepring, age = Path(sys.argv[1]).resolve(), sys.argv[2] if len(sys.argv) > 2 else "age"
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DEEPRING_TRUST"] = str(Path(folder, "trust.json"))

        def deepring_at_terminal(words, *lines):
            return at_terminal([deepring, *words.split()], lines, folder)

        def expect(what, code, outcome):
            if outcome[0] != code:
                sys.exit(f"{what}: exit code {outcome[0]}, not {code}\n{outcome[1]}")
            print(f"ok: {what}")

        code, shown = at_terminal(["sh", "-c", f"trap : INT; '{deepring}' keygen --out keys --passphrase; echo code $?; stty -a"], ["\x03"], folder)
        assert "code 1" in shown and {"echo", "isig", "icanon"} <= set(shown.split()), shown
        print("ok: ^C makes no key, and leaves the terminal as it was")
        expect("two different passphrases make no key", 2, deepring_at_terminal("keygen --out keys --passphrase", RIGHT, WRONG))
        assert not Path(folder, "keys/owner.key").exists()
        expect("keygen asks twice", 0, deepring_at_terminal("keygen --out keys --passphrase", RIGHT, RIGHT))

        def decrypt(passphrase, out):
            return at_terminal([age, "-d", "-o", out, "keys/owner.key"], [passphrase], folder)

        expect("age opens our file", 0, decrypt(RIGHT, "opened"))
        opened = Path(folder, "opened").read_text()
        assert "\nDROWNERSECRET1" in opened and opened.startswith("# DeepRing owner secret key"), opened
        expect("age refuses another passphrase", 1, decrypt(WRONG, "other"))
        assert not Path(folder, "other").exists()

        # The other way: what age encrypts, deepring reads, and rewrites.
        expect("age encrypts", 0, at_terminal([age, "-p", "-a", "-o", "by-age.key", "opened"], [RIGHT, RIGHT], folder))
        Path(folder, "by-age.key").chmod(0o600)
        expect("we refuse another passphrase", 1, deepring_at_terminal("key passphrase by-age.key --remove", WRONG))
        expect("we open age's file", 0, deepring_at_terminal("key passphrase by-age.key --remove", RIGHT))
        assert Path(folder, "by-age.key").read_text() == opened
        public = subprocess.run([age, "-d", "keys/owner.pub"], cwd=folder, capture_output=True)
        assert public.returncode != 0, "a public key is no age file"
    print("key files: age and deepring agree")


if __name__ == "__main__":
    main()
