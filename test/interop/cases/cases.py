"""Runs a client program's cases and reports each as one line of JSON, which run.ts turns into a test."""
import json
import os
import sys
import threading
import time
import traceback

CASE_S = float(os.environ.get("CASE_MS", "30000")) / 1000


def run_cases(cases, at_end=lambda: None):
    """`at_end` runs before this process ends, whatever became of the cases."""
    only = os.environ.get("CASE")
    for name, body in cases.items():
        if only and only not in name:
            continue
        started = time.monotonic()
        outcome = {"error": f"{name}: not done within {CASE_S} s"}

        def work():
            try:
                body()
                outcome["error"] = None
            except BaseException:
                outcome["error"] = traceback.format_exc()

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(CASE_S)
        line = {"case": name, "ok": outcome["error"] is None, "ms": round((time.monotonic() - started) * 1000)}
        if outcome["error"] is not None:
            line["error"] = outcome["error"]
        print(json.dumps(line), flush=True)
    at_end()
    print(json.dumps({"done": True}), flush=True)
    sys.stdout.flush()
    os._exit(0)


def unique(prefix):
    return f"{prefix}.{os.getpid()}.{time.monotonic_ns() % 1000000:06d}"


def equal(got, want, what=""):
    if got != want:
        raise AssertionError(f"{what}: got {got!r}, expected {want!r}")
