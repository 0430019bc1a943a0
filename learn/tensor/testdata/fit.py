#!/usr/bin/env python3
"""Fits the polynomials of functions.go: minimax in the relative error of the
function, by Lawson's iteration (weighted least squares, the weights multiplied
by the error each time). Prints the coefficients, lowest power first, rounded to
float32, and the largest relative error before that rounding."""
import numpy as np


def minimax(f, powers, x, weight, steps=3000):
    basis = np.stack([x**p for p in powers], 1)
    y, density = f(x), np.full_like(x, 1 / len(x))
    for _ in range(steps):
        s = np.sqrt(density) * weight
        c = np.linalg.lstsq(basis * s[:, None], y * s, rcond=None)[0]
        error = np.abs((basis @ c - y) * weight)
        density *= error / error.max() + 1e-3
        density /= density.sum()
    return c, error.max()


def show(name, fit):
    c, error = fit
    print(name, "2^%.1f" % np.log2(error), [float(np.float32(v)) for v in c])


# e^r = 1 + r + r²·P(r), |r| ≤ ½ln2 and a little for the rounding of n
x = np.cos(np.linspace(0, np.pi, 1201)) * np.log(2) / 2 * 1.0005
x = x[np.abs(x) > 1e-6]
show("exp", minimax(lambda r: (np.expm1(r) - r) / r**2, range(5), x, x**2 / np.exp(x)))

# tanh x = x + x³·P(x²), |x| < 0.625
x = np.linspace(1e-3, 0.625, 1500)
show("tanh", minimax(lambda x: (np.tanh(x) - x) / x**3, range(0, 10, 2), x, x**3 / np.tanh(x)))

# ln(1+f) = f − ½f² + f³·P(f), √½ ≤ 1+f < √2; near 0 the quotient is only noise
x = np.linspace(np.sqrt(0.5) - 1 - 1e-4, np.sqrt(2) - 1 + 1e-4, 2001)
x = x[np.abs(x) > 2e-3]
show("log", minimax(lambda f: (np.log1p(f) - f + f * f / 2) / f**3, range(9), x, np.abs(x**3 / np.log1p(x))))
