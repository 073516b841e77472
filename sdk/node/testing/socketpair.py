"""Starts a worker with one end of a socket pair as its descriptor 0, as a pool does, and passes the bytes of the other end on to a socket path.

usage: socketpair.py SOCKET_PATH SDK_SOURCE PROGRAM ARG...
"""
import os
import socket
import subprocess
import sys
import threading

LEAKED = 99


def copy(source, sink):
    try:
        while data := source.recv(1 << 16):
            sink.sendall(data)
    except OSError:
        pass
    try:
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def main():
    path, sdk, *command = sys.argv[1:]
    test = socket.socket(socket.AF_UNIX)
    test.connect(path)
    ours, theirs = socket.socketpair()
    if os.environ.get("EBBTIDE_FD") == "ANY":
        os.environ["EBBTIDE_FD"] = str(theirs.fileno())
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])
    else:
        child = subprocess.Popen(command, stdin=theirs)
    theirs.close()
    with open(sdk, "rb") as file:
        source = file.read()
    ours.sendall(len(source).to_bytes(4, "little") + source)
    threading.Thread(target=copy, args=(test, ours), daemon=True).start()
    back = threading.Thread(target=copy, args=(ours, test))
    back.start()
    code = child.wait()
    # Not for ever: a descriptor that leaked into a grandchild must fail a test, not hang it.
    back.join(10)
    if back.is_alive():
        os._exit(LEAKED)
    os._exit(code if code >= 0 else 128 - code)


main()
