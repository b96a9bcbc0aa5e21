// Vectorised exponential and activations, with their error bounds.
//
// The polynomials are least-squares fits reweighted towards the smallest largest relative error.
// Bounds are over all finite inputs, against double; test/native measures them on every table.
#pragma once

#include "kernels/cpu/vec.h"
#include "ops/ops.h"

namespace multihead::cpu {
namespace {

template <int kCount>
inline Vec polynomial(Vec x, const float (&coefficients)[kCount]) {
  Vec value = broadcast(coefficients[kCount - 1]);
  for (int i = kCount - 2; i >= 0; --i) value = fma(value, x, broadcast(coefficients[i]));
  return value;
}

// e^x within 2.5e-7 relative. Exactly 1 at 0. Zero below -87.336, where the result would be
// denormal; e^88.376 above it, so that it never overflows. NaN stays NaN.
inline Vec exp(Vec x) {
  // e^r = 1 + r + r^2 * P(r) for |r| <= ln(2) / 2, P within 3e-9.
  static constexpr float kTail[] = {0.4999999403953552f, 0.1666652113199234f, 0.04166838899254799f,
                                    0.0083687175065279f, 0.0013814596459269524f};
  const Vec lowest = broadcast(-87.33654f), highest = broadcast(88.37626f);
  const Vec clamped = smaller(highest, larger(lowest, x));
  const Vec n = round_even(mul(clamped, broadcast(1.44269504f)));  // log2(e)
  // ln(2) in two parts: the first has 9 trailing zero bits, so n * high is exact.
  Vec r = fma(n, broadcast(-0.693359375f), clamped);
  r = fma(n, broadcast(2.12194440e-4f), r);
  const Vec power = add(fma(mul(r, r), polynomial(r, kTail), r), broadcast(1.0f));
  return where_less(x, lowest, zero(), times_power_of_two(power, n));
}

// 1 / (1 + e^-x)
inline Vec sigmoid(Vec x) { return div(broadcast(1.0f), add(broadcast(1.0f), exp(negate(x)))); }

// x * Phi(x), Phi being the normal distribution function, within 4e-7 * |x|: exact GELU.
// Phi(-u) = e^(-u^2 / 2) * t * R(t) with t = 1 / (1 + u / 4), R within 6e-8 relative for u in [0,
// 14]; the form (a rational argument under the Gaussian) is Abramowitz & Stegun's 7.1.26 taken
// further.
inline Vec gelu(Vec x) {
  static constexpr float kR[] = {
      0.09979747980833054f, 0.09851682931184769f,  0.10374680161476135f,
      0.032927505671978f,   0.20175908505916595f,  -0.20578426122665405f,
      0.296122670173645f,   -0.15280970931053162f, 0.025723565369844437f};
  const Vec u = magnitude(x);
  const Vec t = div(broadcast(1.0f), fma(u, broadcast(0.25f), broadcast(1.0f)));
  const Vec below = mul(mul(exp(mul(mul(u, u), broadcast(-0.5f))), t), polynomial(t, kR));
  const Vec phi = where_less(x, zero(), below, sub(broadcast(1.0f), below));
  return mul(x, phi);
}

// 0.5x(1 + tanh(y)) = x * sigmoid(2y), within 4e-7 * |x|.
inline Vec gelu_tanh(Vec x) {
  const Vec cubic = fma(mul(mul(x, x), x), broadcast(0.044715f), x);
  return mul(x, sigmoid(mul(cubic, broadcast(1.59576912f))));  // 2 * sqrt(2 / pi)
}

// tanh(x) = 2 sigmoid(2x) - 1, within 3e-7 absolute.
inline Vec tanh(Vec x) { return fma(sigmoid(add(x, x)), broadcast(2.0f), broadcast(-1.0f)); }

// Each is a type, so that a loop over a row is compiled once for each activation.
struct Identity {
  static Vec apply(Vec x) { return x; }
};
struct Relu {
  static Vec apply(Vec x) { return larger(zero(), x); }  // NaN stays NaN
};
struct Gelu {
  static Vec apply(Vec x) { return gelu(x); }
};
struct GeluTanh {
  static Vec apply(Vec x) { return gelu_tanh(x); }
};
struct Silu {
  static Vec apply(Vec x) { return mul(x, sigmoid(x)); }
};
struct Tanh {
  static Vec apply(Vec x) { return tanh(x); }
};

// Calls body(A{}) with the type of `activation`.
template <typename Body>
inline void with_activation(ops::Activation activation, Body body) {
  switch (activation) {
    case ops::Activation::kIdentity:
      return body(Identity{});
    case ops::Activation::kRelu:
      return body(Relu{});
    case ops::Activation::kGelu:
      return body(Gelu{});
    case ops::Activation::kGeluTanh:
      return body(GeluTanh{});
    case ops::Activation::kSilu:
      return body(Silu{});
    case ops::Activation::kTanh:
      return body(Tanh{});
  }
}

}  // namespace
}  // namespace multihead::cpu
