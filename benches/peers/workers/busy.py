"""Loops until it is killed: about 80 MiB resident, and deaf to SIGTERM, so that only the end of the grace ends it."""

import signal

signal.signal(signal.SIGTERM, signal.SIG_IGN)
BALLAST = bytearray(b"x") * (64 << 20)


def busy(_value):
    while True:
        BALLAST[0] ^= 1


def echo(value):
    return value
