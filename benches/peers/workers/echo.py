"""What every Python pool of the race runs: nothing."""


def echo(value):
    return value
