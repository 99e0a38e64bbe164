"""Forks server processes from one that has imported everything, since the imports take longer than the tests."""

import json
import os
import signal
import sys
from pathlib import Path

import livercascade.labeler.http.server  # noqa: F401
from livercascade.cli.label import label


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    print("ready", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            serve(request)
        print(child, flush=True)


def serve(request) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    for stream in (1, 2):
        os.dup2(log, stream)
    options = {key: Path(value) for key, value in request["paths"].items()}
    status = 1
    try:
        label(**options, **request["plain"], browser=False)
        status = 0
    except BaseException as error:
        status = getattr(error, "exit_code", 1)
    finally:
        os._exit(status)


if __name__ == "__main__":
    main()
