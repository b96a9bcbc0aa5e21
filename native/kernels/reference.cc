#include "kernels/reference.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace multihead {
namespace {

using ops::Executor;
template <typename Real>
using Row = std::vector<Real>;

double half_to_double(uint16_t bits) {
  const int exponent = (bits >> 10) & 31;
  const int mantissa = bits & 1023;
  const double sign = (bits & 0x8000) != 0 ? -1 : 1;
  if (exponent == 31) {
    return mantissa != 0 ? std::numeric_limits<double>::quiet_NaN()
                         : sign * std::numeric_limits<double>::infinity();
  }
  if (exponent == 0) return sign * std::ldexp(mantissa, -24);
  return sign * std::ldexp(1024 + mantissa, exponent - 25);
}

double bfloat_to_double(uint16_t bits) {
  const int exponent = (bits >> 7) & 255;
  const int mantissa = bits & 127;
  const double sign = (bits & 0x8000) != 0 ? -1 : 1;
  if (exponent == 255) {
    return mantissa != 0 ? std::numeric_limits<double>::quiet_NaN()
                         : sign * std::numeric_limits<double>::infinity();
  }
  if (exponent == 0) return sign * std::ldexp(mantissa, -133);
  return sign * std::ldexp(128 + mantissa, exponent - 134);
}

template <typename Real>
Real at(const ConstMatrix& matrix, int64_t row, int64_t column) {
  const int64_t index = row * matrix.stride + column;
  switch (matrix.dtype) {
    case DType::kF32:
      return static_cast<const float*>(matrix.data)[index];
    case DType::kF16:
      return static_cast<Real>(half_to_double(static_cast<const uint16_t*>(matrix.data)[index]));
    case DType::kBF16:
      return static_cast<Real>(bfloat_to_double(static_cast<const uint16_t*>(matrix.data)[index]));
  }
  return 0;
}

template <typename Real>
Real activate(ops::Activation activation, Real x) {
  switch (activation) {
    case ops::Activation::kIdentity:
      return x;
    case ops::Activation::kRelu:
      return x < 0 ? 0 : x;
    case ops::Activation::kGelu:
      return x * Real(0.5) * std::erfc(-x / std::sqrt(Real(2)));
    case ops::Activation::kGeluTanh: {
      const Real y = std::sqrt(2 / std::acos(Real(-1))) * (x + Real(0.044715) * x * x * x);
      return Real(0.5) * x * (1 + std::tanh(y));
    }
    case ops::Activation::kSilu:
      return x / (1 + std::exp(-x));
    case ops::Activation::kTanh:
      return std::tanh(x);
  }
  return 0;
}

// Norms the `count` values from `first` on.
template <typename Real>
void norm_part(const ops::Norm& norm, Row<Real>& row, size_t first, size_t count) {
  if (norm.kind == ops::NormKind::kNone) return;
  const Real n = static_cast<Real>(count);
  Real mean = 0, squares = 0;
  if (norm.kind == ops::NormKind::kLayer) {
    for (size_t i = 0; i < count; ++i) mean += row[first + i] / n;
  }
  for (size_t i = 0; i < count; ++i) {
    squares += (row[first + i] - mean) * (row[first + i] - mean);
  }
  Real divisor = std::sqrt(squares / n + static_cast<Real>(norm.epsilon));
  if (norm.kind == ops::NormKind::kL2) {
    divisor = std::max(std::sqrt(squares), static_cast<Real>(norm.epsilon));
  }
  for (size_t i = 0; i < count; ++i) {
    Real& x = row[first + i];
    x = (x - mean) / divisor;
    if (norm.gain != nullptr) x *= norm.gain[i];
    if (norm.bias != nullptr) x += norm.bias[i];
  }
}

template <typename Real>
void apply_norm(const ops::Norm& norm, Row<Real>& row) {
  norm_part(norm, row, 0, row.size());
}

template <typename Real>
void store_row(const Matrix& out, int64_t m, const Row<Real>& row) {
  for (size_t i = 0; i < row.size(); ++i) out.f32_row(m)[i] = static_cast<float>(row[i]);
}

template <typename Real>
void embed(Executor&, const ops::EmbedArgs& args) {
  for (int64_t t = 0; t < args.out.rows; ++t) {
    Row<Real> row(static_cast<size_t>(args.out.columns));
    for (size_t i = 0; i < row.size(); ++i) {
      const int64_t e = static_cast<int64_t>(i);
      row[i] = args.scale * at<Real>(args.token_table, args.tokens[t], e);
      if (args.type_table.data != nullptr) {
        row[i] += at<Real>(args.type_table, args.types == nullptr ? 0 : args.types[t], e);
      }
      if (args.position_table.data != nullptr) {
        row[i] += at<Real>(args.position_table, args.positions[t], e);
      }
    }
    apply_norm(args.norm, row);
    store_row(args.out, t, row);
  }
}

template <typename Real>
void norm(Executor&, const ops::NormArgs& args) {
  for (int64_t m = 0; m < args.x.rows; ++m) {
    Row<Real> row(static_cast<size_t>(args.x.columns));
    for (size_t i = 0; i < row.size(); ++i) {
      const int64_t n = static_cast<int64_t>(i);
      row[i] = at<Real>(args.x, m, n);
      if (args.residual.data != nullptr) row[i] += at<Real>(args.residual, m, n);
    }
    const size_t part = row.size() / static_cast<size_t>(args.groups);
    for (size_t first = 0; first < row.size(); first += part) {
      norm_part(args.norm, row, first, part);
    }
    store_row(args.out, m, row);
  }
}

void copy_row(const ConstMatrix& x, int64_t from, const Matrix& out, int64_t to) {
  for (int64_t n = 0; n < x.columns; ++n) out.f32_row(to)[n] = x.f32_row(from)[n];
}

void gather(Executor&, const ops::GatherArgs& args) {
  for (int64_t r = 0; r < args.out.rows; ++r) copy_row(args.x, args.rows[r], args.out, r);
}

void scatter(Executor&, const ops::ScatterArgs& args) {
  for (int64_t m = 0; m < args.x.rows; ++m) copy_row(args.x, m, args.out, args.rows[m]);
}

template <typename Real>
void rotary(Executor&, const ops::RotaryArgs& args) {
  const int64_t pairs = args.angles.columns / 2;
  for (int64_t t = 0; t < args.x.rows; ++t) {
    for (int64_t head = 0; head < args.heads; ++head) {
      float* x = args.x.f32_row(t) + head * args.head_dim;
      for (int64_t i = 0; i < pairs; ++i) {
        const bool halves = args.pairs == ops::RotaryPairs::kHalves;
        float& first = x[halves ? i : 2 * i];
        float& second = x[halves ? i + pairs : 2 * i + 1];
        const Real a = first, b = second;
        const Real cosine = at<Real>(args.angles, t, i), sine = at<Real>(args.angles, t, pairs + i);
        first = static_cast<float>(a * cosine - b * sine);
        second = static_cast<float>(b * cosine + a * sine);
      }
    }
  }
}

// "Packed" is the matrix as it came.
int64_t packed_linear_bytes(int64_t n, int64_t k) { return n * k * 4; }

void pack_linear(Executor&, const ops::PackLinearArgs& args) {
  float* packed = static_cast<float*>(args.packed);
  for (int64_t n = 0; n < args.weight.rows; ++n) {
    for (int64_t k = 0; k < args.weight.columns; ++k) *packed++ = args.weight.f32_row(n)[k];
  }
}

int64_t linear_scratch_bytes(int64_t, int64_t, int64_t, int) { return 0; }

template <typename Real>
Real product(const ConstMatrix& x, int64_t m, const ops::PackedWeight& weight, int64_t n) {
  const float* row = static_cast<const float*>(weight.data) + n * weight.k;
  Real sum = 0;
  for (int64_t k = 0; k < weight.k; ++k) sum += at<Real>(x, m, k) * row[k];
  return sum;
}

template <typename Real>
void linear(Executor&, const ops::LinearArgs& args) {
  for (int64_t m = 0; m < args.x.rows; ++m) {
    Row<Real> row(static_cast<size_t>(args.weight.n));
    for (int64_t n = 0; n < args.weight.n; ++n) {
      Real value = args.scale * product<Real>(args.x, m, args.weight, n);
      if (args.bias != nullptr) value += args.bias[n];
      if (args.gate.data == nullptr) {
        value = activate<Real>(args.activation, value);
      } else {
        Real gate = product<Real>(args.x, m, args.gate, n);
        if (args.gate_bias != nullptr) gate += args.gate_bias[n];
        value *= activate<Real>(args.activation, gate);
      }
      if (args.residual.data != nullptr) value += at<Real>(args.residual, m, n);
      row[static_cast<size_t>(n)] = value;
    }
    apply_norm(args.norm, row);
    store_row(args.out, m, row);
  }
}

int64_t attention_scratch_bytes(int64_t, int) { return 0; }

bool sees(const ops::AttentionArgs& args, int64_t query_position, int64_t key) {
  if (args.mask == ops::Mask::kCausal && key > query_position) return false;
  return args.window < 0 || std::abs(query_position - key) <= args.window;
}

int64_t row_of_key(const ops::AttentionArgs& args, int64_t b, int64_t key) {
  const int32_t* blocks = args.key_blocks + args.key_block_offsets[b];
  return blocks[key / ops::kKeyBlock] + key % ops::kKeyBlock;
}

// What the position of a key adds to its score.
template <typename Real>
Real position_score(const ops::AttentionArgs& args, int64_t head, int64_t distance) {
  Real score = 0;
  if (args.slopes != nullptr) score += args.slopes[head] * static_cast<Real>(distance);
  if (args.relative_bias.data != nullptr) {
    const int64_t most = args.relative_bias.columns / 2;
    const int64_t column = most + std::max(-most, std::min(most, distance));
    score += at<Real>(args.relative_bias, head, column);
  }
  return score;
}

template <typename Real>
void attend(const ops::AttentionArgs& args, int64_t b, int64_t query, int64_t head) {
  const int64_t queries = args.query_offsets[b + 1] - args.query_offsets[b];
  const int64_t row = args.query_offsets[b] + query;
  const int64_t position = args.key_counts[b] - queries + query;
  const int64_t query_column = head * args.head_dim;
  const int64_t key_column = head / (args.heads / args.key_heads) * args.head_dim;
  Row<Real> scores;
  std::vector<int64_t> seen;  // rows of keys
  for (int64_t j = 0; j < args.key_counts[b]; ++j) {
    if (!sees(args, position, j)) continue;
    const int64_t key_row = row_of_key(args, b, j);
    Real score = 0;
    for (int64_t d = 0; d < args.head_dim; ++d) {
      score +=
          at<Real>(args.query, row, query_column + d) * at<Real>(args.key, key_row, key_column + d);
    }
    scores.push_back(score * args.scale + position_score<Real>(args, head, j - position));
    seen.push_back(key_row);
  }
  Row<Real> result(static_cast<size_t>(args.head_dim));
  if (!seen.empty()) {
    const Real largest = *std::max_element(scores.begin(), scores.end());
    Real total = 0;
    for (Real& score : scores) total += score = std::exp(score - largest);
    for (size_t i = 0; i < seen.size(); ++i) {
      for (size_t d = 0; d < result.size(); ++d) {
        result[d] +=
            scores[i] / total * at<Real>(args.value, seen[i], key_column + static_cast<int64_t>(d));
      }
    }
  }
  for (size_t d = 0; d < result.size(); ++d) {
    args.out.f32_row(row)[query_column + static_cast<int64_t>(d)] = static_cast<float>(result[d]);
  }
}

template <typename Real>
void attention(Executor&, const ops::AttentionArgs& args) {
  for (int64_t b = 0; b < args.sequences; ++b) {
    const int64_t queries = args.query_offsets[b + 1] - args.query_offsets[b];
    for (int64_t query = 0; query < queries; ++query) {
      for (int64_t head = 0; head < args.heads; ++head) attend<Real>(args, b, query, head);
    }
  }
}

template <typename Real>
void pool(Executor&, const ops::PoolArgs& args) {
  for (int64_t b = 0; b < args.sequences; ++b) {
    for (int64_t e = 0; e < args.x.columns; ++e) {
      Real pooled = 0;
      for (int64_t t = args.offsets[b]; t < args.offsets[b + 1]; ++t) {
        const Real x = at<Real>(args.x, t, e);
        if (args.kind == ops::PoolKind::kWeightedSum) {
          pooled += args.weights[t] * x;
        } else if (t == args.offsets[b] || x > pooled) {
          pooled = x;
        }
      }
      args.out.f32_row(b)[e] = static_cast<float>(pooled);
    }
  }
}

template <typename Real>
const ops::OpTable& table_of(const char* name) {
  static const ops::OpTable table = {
      name,
      embed<Real>,
      norm<Real>,
      gather,
      scatter,
      rotary<Real>,
      packed_linear_bytes,
      pack_linear,
      linear_scratch_bytes,
      linear<Real>,
      attention_scratch_bytes,
      attention<Real>,
      pool<Real>,
  };
  return table;
}

}  // namespace

const ops::OpTable& reference_table() { return table_of<double>("reference"); }
const ops::OpTable& naive_f32_table() { return table_of<float>("naive f32"); }

}  // namespace multihead
