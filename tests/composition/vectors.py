"""Prints tests/composition/vectors.csv: what Google's dp-accounting says of sequences of Gaussian mechanisms.

    python3 -m venv venv && venv/bin/pip install --require-hashes -r requirements.txt
    venv/bin/python vectors.py > vectors.csv

Each line is a sequence of mechanisms, by their prices rho, `0.01x50` for fifty of them, composed by privacy
loss distributions, and the epsilon at delta: `optimistic` is at most the true one, `pessimistic` at least. `gaussian` is
continuous noise; `discrete` is integer noise on an integer that one pupil changes by one. Digits beyond the sixth are
rounded away from the truth.
"""

import math
from importlib.metadata import version

from dp_accounting.pld import privacy_loss_distribution as pld

SEQUENCES = [
    ("gaussian", [0.0001]),
    ("gaussian", [0.001]),
    ("gaussian", [0.01]),
    ("gaussian", [0.05]),
    ("gaussian", [0.1]),
    ("gaussian", [0.5]),
    ("gaussian", [1.0]),
    ("gaussian", [3.0]),
    ("gaussian", [0.01] * 10),
    ("gaussian", [0.01] * 50),
    ("gaussian", [0.001, 0.002, 0.004, 0.008, 0.016, 0.032]),
    ("gaussian", [0.05, 0.01, 0.1, 0.005]),
    ("gaussian", [0.25, 0.25, 0.5]),
    ("discrete", [0.005]),
    ("discrete", [0.02]),
    ("discrete", [0.125]),
    ("discrete", [0.5]),
    ("discrete", [0.02] * 10),
    ("discrete", [0.125, 0.02, 0.005]),
]
DELTAS = [1e-4, 1e-6, 1e-9]


def composed(kind, rhos, pessimistic):
    # Rounding every loss by an interval adds up: finer where the losses are small, or many.
    interval = min(1e-4, 0.01 * math.sqrt(2 * sum(rhos)) / len(rhos))
    whole = None
    for rho in rhos:
        sigma = 1 / math.sqrt(2 * rho)
        options = {
            "pessimistic_estimate": pessimistic,
            "value_discretization_interval": interval,
            "use_connect_dots": pessimistic,
        }
        if kind == "gaussian":
            part = pld.from_gaussian_mechanism(sigma, **options)
        else:
            part = pld.from_discrete_gaussian_mechanism(sigma, **options)
        whole = part if whole is None else whole.compose(part)
    return whole


def written(rhos):
    if len(rhos) > 1 and len(set(rhos)) == 1:
        return f"{rhos[0]}x{len(rhos)}"
    return " ".join(map(str, rhos))


def main():
    print(f"# dp-accounting {version('dp-accounting')}")
    print("mechanism,rhos,delta,optimistic,pessimistic")
    for kind, rhos in SEQUENCES:
        bounds = [composed(kind, rhos, pessimistic) for pessimistic in (False, True)]
        for delta in DELTAS:
            low, high = (bound.get_epsilon_for_delta(delta) for bound in bounds)
            low, high = math.floor(low * 1e6) / 1e6, math.ceil(high * 1e6) / 1e6
            print(f"{kind},{written(rhos)},{delta:g},{low:.6f},{high:.6f}")


if __name__ == "__main__":
    main()
