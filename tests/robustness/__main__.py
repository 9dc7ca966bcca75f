"""`python -m robustness --minutes 10 [--seed N] [--only NAME] [--cases N]`, run in the folder `tests`."""

import argparse
import random
import sys

from . import PROGRAMS, runner


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m robustness", description="Look for faults with random input.")
    parser.add_argument("--minutes", type=float, default=10.0, help="shared out among the programs (default: 10)")
    parser.add_argument("--seed", type=int, help="of the first case; the next one has the next (default: drawn)")
    parser.add_argument("--only", choices=PROGRAMS, action="append", help="this program (repeatable; default: all)")
    parser.add_argument("--cases", type=int, help="of each program at most; 1 shows the traceback of a fault")
    options = parser.parse_args(arguments)
    seed = random.SystemRandom().randrange(10**9) if options.seed is None else options.seed
    programs = options.only or PROGRAMS
    print(f"seed {seed}, {options.minutes:g} minutes", flush=True)
    faults = 0
    for name in programs:
        seconds = 60 * options.minutes / len(programs)
        result = runner.run(f"robustness.{name}", seed, cases=options.cases, seconds=seconds)
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(result.counts.items()))
        print(f"{name:10} {result.cases} cases in {result.seconds:.0f} s: {kinds}; {len(result.faults)} faults")
        for number, text, trace in result.faults:
            print(f"    {text}\n        python -m robustness --only {name} --seed {number} --cases 1")
            if options.cases == 1:
                print(trace)
        sys.stdout.flush()
        faults += len(result.faults)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
