"""Random numbers for samplers, a pure function of what they are for: the same with any number of threads.

A draw has no state. It is what the cipher Philox4x32-10 makes of a key (the seed) and a counter (Salmon, Moraes, Dror
and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011). The words of the counter say what is drawn:

| word | holds |
| --- | --- |
| c0 | index of the unit: a column, a row |
| c1 | block within the unit, 128 bits each: more for longer vectors, and for each attempt of a rejection |
| c2 | sweep |
| c3 | stream: a small constant for each kind of draw |

Two draws under one key must differ in the index, the sweep or the stream. All words count modulo 2^32. The words are
the same on every machine; the last bits of what is made of them depend on its fused multiplication and its libm.
"""

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fmkit.kernels import kernel

GROUP = 16  # normals made at once, from the words of 4 blocks

# Philox: multipliers of words 0 and 2, and the steps of the key's halves from round to round.
M0, M2 = 0xD2511F53, 0xCD9E8D57
W0, W1 = 0x9E3779B9, 0xBB67AE85
LOW, HALF = np.uint64(0xFFFFFFFF), np.uint64(32)

# Minimax polynomials for float32, constant term first. -2 log(1 + f) = f LOG(f) for 1 + f in [sqrt 1/2, sqrt 2],
# within 7e-8; sin(pi h) = h SINE(h^2) and cos(pi h) = COSINE(h^2) for |h| <= 1/4, within 3e-8.
LOG = (-1.99999963, 1.00001335, -0.66672364, 0.499186876, -0.397460931, 0.34666931, -0.32839978, 0.202044698)
SINE = (3.14159261, -5.16770351, 2.5496289, -0.587813002)
COSINE = (0.999999972, -4.93478806, 4.05757831, -1.30613456)
SQRT_HALF = 0x3F3504F3  # the bits of a float32

# AS 241: numerators and denominators, highest power first.
MIDDLE = (
    (
        2509.0809287301226727,
        33430.575583588128105,
        67265.770927008700853,
        45921.953931549871457,
        13731.693765509461125,
        1971.5909503065514427,
        133.14166789178437745,
        3.3871328727963666080,
    ),
    (
        5226.4952788528545610,
        28729.085735721942674,
        39307.895800092710610,
        21213.794301586595867,
        5394.1960214247511077,
        687.18700749205790830,
        42.313330701600911252,
        1.0,
    ),
)
NEAR = (
    (
        7.74545014278341407640e-4,
        2.27238449892691845833e-2,
        2.41780725177450611770e-1,
        1.27045825245236838258,
        3.64784832476320460504,
        5.76949722146069140550,
        4.63033784615654529590,
        1.42343711074968357734,
    ),
    (
        1.05075007164441684324e-9,
        5.47593808499534494600e-4,
        1.51986665636164571966e-2,
        1.48103976427480074590e-1,
        6.89767334985100004550e-1,
        1.67638483018380384940,
        2.05319162663775882187,
        1.0,
    ),
)
FAR = (
    (
        2.01033439929228813265e-7,
        2.71155556874348757815e-5,
        1.24266094738807843860e-3,
        2.65321895265761230930e-2,
        2.96560571828504891230e-1,
        1.78482653991729133580,
        5.46378491116411436990,
        6.65790464350110377720,
    ),
    (
        2.04426310338993978564e-15,
        1.42151175831644588870e-7,
        1.84631831751005468180e-5,
        7.86869131145613259100e-4,
        1.48753612908506148525e-2,
        1.36929880922735805310e-1,
        5.99832206555887937690e-1,
        1.0,
    ),
)

TAIL = 4.0  # exponential proposals are then accepted at a rate of .95 or more
NARROW = 0.1  # uniform proposals are then accepted at a rate of .8 or more, in half the time of inversion

CROSSOVER = 0.64  # of the two series for the density of a Polya-Gamma variable
LEVY = 0.5 * math.erfc(math.sqrt(0.5 / CROSSOVER))  # P(Z < -1 / sqrt CROSSOVER)


@kernel
def philox(key: Any, c0: Any, c1: Any, c2: Any, c3: Any) -> Any:
    """One block of Philox4x32-10.

    Parameters
    ----------
    key : uint64
        The lower half is the first word of the cipher's key.
    c0, c1, c2, c3 : uint32

    Returns
    -------
    tuple of four uint32
    """
    m0, m2, w0, w1 = np.uint64(M0), np.uint64(M2), np.uint64(W0), np.uint64(W1)
    k0, k1 = np.uint64(key) & LOW, np.uint64(key) >> HALF
    a, b, c, d = np.uint64(c0) & LOW, np.uint64(c1) & LOW, np.uint64(c2) & LOW, np.uint64(c3) & LOW
    for _ in range(10):
        p, q = m0 * a, m2 * c
        a, b, c, d = (q >> HALF) ^ b ^ k0, q & LOW, (p >> HALF) ^ d ^ k1, p & LOW
        k0, k1 = (k0 + w0) & LOW, (k1 + w1) & LOW
    return np.uint32(a), np.uint32(b), np.uint32(c), np.uint32(d)


@intrinsic
def _store_normals(typing_context: Any, key: Any, c0: Any, c1: Any, c2: Any, c3: Any, out: Any, at: Any) -> Any:
    """out[at:at+GROUP] = normals from blocks c1 to c1 + 3, in vector registers.

    Written for LLVM: numba's own loops over blocks stay scalar, at 5.7 ns a normal.
    """
    word = types.uint64
    signature = types.void(word, word, word, word, word, out, types.intp)
    i32, i64 = ir.IntType(32), ir.IntType(64)
    wide, ints, reals = ir.VectorType(i64, 4), ir.VectorType(i32, 8), ir.VectorType(ir.FloatType(), 8)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        key, c0, c1, c2, c3, out, at = arguments

        def constant(kind: Any, value: Any) -> Any:
            return ir.Constant(kind, [value] * kind.count)

        def broadcast(scalar: Any) -> Any:
            undefined = ir.Constant(wide, ir.Undefined)
            first = builder.insert_element(undefined, scalar, i32(0))
            return builder.shuffle_vector(first, undefined, constant(ir.VectorType(i32, 4), 0))

        def low(x: Any) -> Any:
            return builder.and_(x, ir.Constant(i64, 2**32 - 1) if x.type == i64 else constant(wide, 2**32 - 1))

        def high(x: Any) -> Any:
            return builder.lshr(x, ir.Constant(i64, 32) if x.type == i64 else constant(wide, 32))

        def fma(a: Any, b: Any, c: Any) -> Any:
            return builder.fadd(builder.fmul(a, b, flags=("contract",)), c, flags=("contract",))

        def polynomial(coefficients: tuple[float, ...], x: Any) -> Any:
            value = constant(reals, np.float32(coefficients[-1]))
            for c in coefficients[-2::-1]:
                value = fma(value, x, constant(reals, np.float32(c)))
            return value

        # A word is a lane of 64 bits, for the sake of its products.
        k0, k1 = low(key), high(key)
        a, c, d = broadcast(low(c0)), broadcast(low(c2)), broadcast(low(c3))
        b = low(builder.add(broadcast(c1), ir.Constant(wide, [0, 1, 2, 3])))
        for _ in range(10):
            p, q = builder.mul(constant(wide, M0), a), builder.mul(constant(wide, M2), c)
            a = builder.xor(builder.xor(high(q), b), broadcast(k0))
            c = builder.xor(builder.xor(high(p), d), broadcast(k1))
            b, d = low(q), low(p)
            k0, k1 = low(builder.add(k0, ir.Constant(i64, W0))), low(builder.add(k1, ir.Constant(i64, W1)))
        join = ir.Constant(ints, list(range(8)))
        a, b, c, d = (builder.trunc(x, ir.VectorType(i32, 4)) for x in (a, b, c, d))
        first, second = builder.shuffle_vector(a, b, join), builder.shuffle_vector(c, d, join)

        # u = (first + 1/2) / 2^32 = (1 + f) 2^(e - 32), from the bits of a float
        bits = builder.bitcast(builder.fadd(builder.uitofp(first, reals), constant(reals, 0.5)), ints)
        e = builder.ashr(builder.sub(bits, constant(ints, SQRT_HALF)), constant(ints, 23))
        m = builder.bitcast(builder.sub(bits, builder.shl(e, constant(ints, 23))), reals)
        f = builder.fsub(m, constant(reals, 1.0))
        e = builder.sitofp(builder.sub(e, constant(ints, 32)), reals)
        square = fma(f, polynomial(LOG, f), builder.fmul(e, constant(reals, np.float32(-2 * math.log(2)))))
        root = cgutils.get_or_insert_function(builder.module, ir.FunctionType(reals, [reals]), "llvm.sqrt.v8f32")
        radius = builder.call(root, [square])

        # An angle within an eighth of a turn of 0; the two lowest bits mirror it into the other quarters.
        h = builder.fmul(builder.sitofp(builder.ashr(second, constant(ints, 2)), reals), constant(reals, 2.0**-31))
        h2 = builder.fmul(h, h)
        sine = builder.fmul(builder.fmul(radius, h), polynomial(SINE, h2))
        cosine = builder.bitcast(builder.fmul(radius, polynomial(COSINE, h2)), ints)
        sign = builder.shl(second, constant(ints, 31))
        cosine = builder.bitcast(builder.xor(cosine, sign), reals)
        swap = builder.trunc(builder.lshr(second, constant(ints, 1)), ir.VectorType(ir.IntType(1), 8))

        array = context.make_array(signature.args[5])(context, builder, out)
        for half, value in enumerate((builder.select(swap, sine, cosine), builder.select(swap, cosine, sine))):
            pointer = builder.gep(array.data, [builder.add(at, ir.Constant(at.type, half * 8))])
            stored = builder.store(value, builder.bitcast(pointer, reals.as_pointer()))
            stored.align = 4
        return context.get_dummy_value()

    return signature, codegen


@kernel
def fill_normals(key: Any, stream: Any, sweep: Any, index: Any, n: int, out: Any) -> None:
    """out[:n] = standard normals, by Box and Muller's transformation.

    The first entries do not depend on n. |z| reaches 6.7; the error is below 1e-6, that of rounding the uniform numbers
    to float32 left aside. Group g takes blocks 4 g to 4 g + 3: its entries l + 4 h and l + 4 h + 8 (l < 4, h < 2) have
    their radius from word h of block 4 g + l, their angle from word h + 2.

    Parameters
    ----------
    key : uint64
    stream, sweep, index : int
    n : int
    out : C-contiguous float32 array of shape (at least n rounded up to a multiple of GROUP,)
        The rest of the last group is overwritten too. Nothing is checked.
    """
    for at in range(0, n, GROUP):
        block = np.uint64(at // 4)
        _store_normals(np.uint64(key), np.uint64(index), block, np.uint64(sweep), np.uint64(stream), out, at)


@kernel
def uniforms(key: Any, c0: Any, c1: Any, c2: Any, c3: Any) -> Any:
    """Two float64 from one block of Philox: uniform on the odd multiples of 2^-53, which are neither 0 nor 1."""
    a, b, c, d = philox(key, c0, c1, c2, c3)
    u = np.float64(a) * 2.0**-32 + (np.float64(b >> np.uint32(12)) + 0.5) * 2.0**-52
    v = np.float64(c) * 2.0**-32 + (np.float64(d >> np.uint32(12)) + 0.5) * 2.0**-52
    return u, v


@kernel
def normal_cdf(x: float) -> float:
    """P(Z <= x) for a standard normal Z, with a relative error below 1e-12 down to the smallest of normal numbers."""
    return 0.5 * math.erfc(-x * math.sqrt(0.5))


@kernel(fastmath={"contract"})
def _horner(coefficients: Any, x: float) -> float:
    """Value of a polynomial, highest power first."""
    value: float = coefficients[0]
    for c in coefficients[1:]:
        value = value * x + c
    return value


@kernel(error_model="numpy")
def normal_quantile(p: float) -> float:
    """Inverse of `normal_cdf`, to 15 digits: Wichura's AS 241 (Applied Statistics 37, 1988). 0 and 1 give infinity."""
    q = p - 0.5
    if abs(q) <= 0.425:
        r = 0.180625 - q * q
        z: float = q * _horner(MIDDLE[0], r) / _horner(MIDDLE[1], r)
        return z
    tail = min(p, 1.0 - p)
    if tail == 0.0:
        return math.copysign(math.inf, q)
    r = math.sqrt(-math.log(tail))
    if r <= 5.0:
        z = _horner(NEAR[0], r - 1.6) / _horner(NEAR[1], r - 1.6)
    else:
        z = _horner(FAR[0], r - 5.0) / _horner(FAR[1], r - 5.0)
    return math.copysign(z, q)


@kernel(error_model="numpy")
def draw_truncated_normal(key: Any, stream: Any, sweep: Any, index: Any, low: float, high: float) -> float:
    """One draw of a standard normal given low <= z <= high.

    Inversion where the bounds leave it all its digits. Else rejection: from the tail beyond `TAIL` by exponential
    proposals (Robert, "Simulation of truncated normal variables", Statistics and Computing 5, 1995), from a window
    narrower than `NARROW` by uniform ones.

    Parameters
    ----------
    key : uint64
    stream, sweep, index : int
    low, high : float64
        low <= high; either may be infinite.
    """
    block = 0
    u, v = uniforms(key, index, block, sweep, stream)
    mirrored = low > 0.0  # the lower tail has probabilities of full precision
    a, b = (-high, -low) if mirrored else (low, high)
    if b < -TAIL:
        while True:
            e = math.log1p(u * math.expm1(b * (b - a))) / b  # exponential of rate -b, within the window
            z = b - e
            if not v > math.exp(-0.5 * e * e):  # so that NaN ends it too
                break
            block += 1
            u, v = uniforms(key, index, block, sweep, stream)
    elif b - a < NARROW:
        nearest = min(b, 0.0)
        while True:
            z = a + u * (b - a)
            if not v > math.exp(0.5 * (nearest - z) * (nearest + z)):
                break
            block += 1
            u, v = uniforms(key, index, block, sweep, stream)
    else:
        p = normal_cdf(a)
        z = normal_quantile(p + u * (normal_cdf(b) - p))
    z = max(a, min(z, b))
    return -z if mirrored else z


@kernel(error_model="numpy")
def draw_gamma(key: Any, stream: Any, sweep: Any, index: Any, shape: float) -> float:
    """One draw of Gamma(shape, 1): Marsaglia and Tsang, "A simple method for generating gamma variables", TOMS 2000.

    Parameters
    ----------
    key : uint64
    stream, sweep, index : int
    shape : float64
        Above 0. Of a shape near 0 (.001, say) many draws are smaller than any float64: 0.
    """
    boost: float = 1.0
    if shape < 1.0:
        boost = uniforms(key, index, 0, sweep, stream)[0] ** (1.0 / shape)
        shape += 1.0
    d = shape - 1.0 / 3.0
    block = 0
    while True:
        block += 1
        u, v = uniforms(key, index, block, sweep, stream)
        z: float = normal_quantile(u)
        root = 1.0 + z / math.sqrt(9.0 * d)
        cube = root * root * root
        # log 0 = -infinity rejects a negative cube; the negation lets NaN end the loop
        if not math.log(v) > 0.5 * z * z + d - d * cube + d * math.log(max(cube, 0.0)):
            return boost * d * cube


@kernel(error_model="numpy")
def draw_polya_gamma(key: Any, stream: Any, sweep: Any, index: Any, z: float) -> float:
    """One draw of the Polya-Gamma distribution PG(1, z).

    Devroye's alternating series, as in Polson, Scott and Windle, "Bayesian inference for logistic models using
    Polya-Gamma latent variables", JASA 2013: proposals from an exponential beyond `CROSSOVER` and an inverse Gaussian
    before it.

    Parameters
    ----------
    key : uint64
    stream, sweep, index : int
    z : float64
    """
    t, z = CROSSOVER, 0.5 * abs(z)
    rate = 0.125 * math.pi**2 + 0.5 * z * z
    # The inverse Gaussian's mass before t, times e^(rate t + z): infinite for a large z, which never goes beyond.
    b, a = (t * z - 1.0) / math.sqrt(t), -(t * z + 1.0) / math.sqrt(t)
    before = math.exp(rate * t - z + math.log(normal_cdf(b))) + math.exp(rate * t + z + math.log(normal_cdf(a)))
    beyond = 1.0 / (1.0 + 4.0 / math.pi * rate * before)
    block = 0
    while True:
        which, level = uniforms(key, index, block, sweep, stream)
        block += 1
        if which < beyond:
            u, v = uniforms(key, index, block, sweep, stream)
            block += 1
            x = t - math.log(u) / rate
            rho = math.exp(-(math.pi**2) * x)
        else:
            while True:
                u, v = uniforms(key, index, block, sweep, stream)
                block += 1
                if z * t < 1.0:  # the tilt of 1 / Z^2, |Z| > 1 / sqrt t, which is the inverse Gaussian of z = 0
                    y = normal_quantile(u * LEVY)
                    x = 1.0 / (y * y)
                    if not v > math.exp(-0.5 * z * z * x):
                        break
                else:  # Michael, Schucany and Haas (The American Statistician 30, 1976), without cancellation
                    y = normal_quantile(u)
                    w = 0.5 * y * y / z
                    w = 1.0 + w + math.sqrt(w * (w + 2.0))
                    x = 1.0 / (z * w) if v * (1.0 + w) < w else w / z
                    if not x > t:
                        break
            rho = math.exp(-4.0 / x)
        # Partial sums of 1 - 3 rho + 5 rho^3 - 7 rho^6 + ... lie above and below the limit in turn.
        n, s, power, term = 0, 1.0, 1.0, 1.0
        while True:
            n += 1
            power *= rho
            term *= power
            if n % 2 == 1:
                s -= (2 * n + 1) * term
                if not level > s:
                    return 0.25 * x
            else:
                s += (2 * n + 1) * term
                if level > s:
                    break
