// The second implementation: what a plan means, written from its definition, in double, unpacked.
#include <algorithm>
#include <cmath>

#include "engine_model.h"

namespace multihead::test {
namespace {

using namespace engine;
using Row = std::vector<double>;
using Rows = std::vector<Row>;

class Evaluator {
 public:
  Evaluator(const Model& model, const Batch& batch, size_t sequence)
      : model_(model), batch_(batch), sequence_(sequence) {}

  // One sequence's stream after each block.
  std::vector<Rows> run() {
    std::vector<Rows> streams;
    for (const Block& block : model_.plan.blocks) {
      std::visit([this](const auto& typed) { apply(typed); }, block);
      streams.push_back(stream_);
    }
    return streams;
  }

 private:
  double weight(const WeightRef& ref, int64_t row, int64_t column, int64_t columns) const {
    const auto& values = model_.values.at(ref.tensor);
    const int64_t r = row + ref.row_begin;
    if (!ref.transpose) return values[static_cast<size_t>(r * columns + column)];
    const auto stored_columns = static_cast<int64_t>(values.size()) / columns;
    return values[static_cast<size_t>(column * stored_columns + r)];
  }

  Row linear(const LinearSpec& spec, const Row& x, int64_t out) const {
    Row y(static_cast<size_t>(out));
    const auto in = static_cast<int64_t>(x.size());
    for (int64_t n = 0; n < out; ++n) {
      double sum = spec.bias ? weight(*spec.bias, n, 0, 1) : 0;
      for (int64_t k = 0; k < in; ++k)
        sum += x[static_cast<size_t>(k)] * weight(spec.weight, n, k, in);
      y[static_cast<size_t>(n)] = sum;
    }
    return y;
  }

  Row norm(const std::optional<NormSpec>& spec, const Row& x) const {
    if (!spec) return x;
    const auto n = static_cast<double>(x.size());
    double sum = 0;
    double squares = 0;
    for (const double v : x) sum += v;
    const double mean = spec->kind == ops::NormKind::kLayer ? sum / n : 0;
    for (const double v : x) squares += (v - mean) * (v - mean);
    Row y;
    for (size_t c = 0; c < x.size(); ++c) {
      const double centred = x[c] - mean;
      if (spec->kind == ops::NormKind::kL2) {
        y.push_back(centred / std::max(std::sqrt(squares), static_cast<double>(spec->epsilon)));
        continue;
      }
      double value = centred / std::sqrt(squares / n + spec->epsilon);
      if (spec->gain) value *= weight(*spec->gain, static_cast<int64_t>(c), 0, 1);
      if (spec->bias) value += weight(*spec->bias, static_cast<int64_t>(c), 0, 1);
      y.push_back(value);
    }
    return y;
  }

  static double activate(ops::Activation activation, double x) {
    if (activation == ops::Activation::kRelu) return x > 0 ? x : 0;
    if (activation == ops::Activation::kGelu) return x * 0.5 * std::erfc(-x * M_SQRT1_2);
    if (activation == ops::Activation::kGeluTanh) {
      return x * 0.5 * (1 + std::tanh(M_2_SQRTPI * M_SQRT1_2 * (x + 0.044715 * std::pow(x, 3))));
    }
    if (activation == ops::Activation::kSilu) return x / (1 + std::exp(-x));
    if (activation == ops::Activation::kTanh) return std::tanh(x);
    return x;
  }

  double position(const Positions& positions, int64_t p, int64_t column, int64_t width) const {
    if (const auto* learned = std::get_if<LearnedPositions>(&positions)) {
      return weight(learned->table, p + learned->offset, column, width);
    }
    if (!std::holds_alternative<SinusoidalPositions>(positions)) return 0;
    const double exponent = static_cast<double>(column / 2 * 2) / static_cast<double>(width);
    const double angle = static_cast<double>(p) / std::pow(10000.0, exponent);
    return column % 2 == 0 ? std::sin(angle) : std::cos(angle);
  }

  void apply(const EmbedBlock& block) {
    const int64_t width = model_.plan.width;
    const int32_t begin = batch_.offsets[sequence_];
    for (int32_t t = begin; t < batch_.offsets[sequence_ + 1]; ++t) {
      Row row;
      for (int64_t c = 0; c < width; ++c) {
        double value =
            block.scale * weight(block.tokens, batch_.tokens[static_cast<size_t>(t)], c, width);
        const int32_t type = batch_.types ? (*batch_.types)[static_cast<size_t>(t)] : 0;
        if (block.types) value += weight(*block.types, type, c, width);
        row.push_back(value + position(block.positions, t - begin, c, width));
      }
      stream_.push_back(norm(block.norm, row));
    }
  }

  void apply(const AttentionBlock& block) {
    const int64_t group = block.heads / block.key_heads;
    Rows queries, keys, values;
    for (const Row& row : stream_) {
      const Row x = norm(block.norm_before, row);
      queries.push_back(linear(block.query, x, block.heads * block.head_dim));
      keys.push_back(linear(block.key, x, block.key_heads * block.head_dim));
      values.push_back(linear(block.value, x, block.key_heads * block.head_dim));
    }
    const auto length = static_cast<int64_t>(stream_.size());
    for (int64_t i = 0; i < length; ++i) {
      Row context(static_cast<size_t>(block.heads * block.head_dim), 0.0);
      for (int64_t h = 0; h < block.heads; ++h) {
        double total = 0;
        Row sum(static_cast<size_t>(block.head_dim), 0.0);
        for (int64_t j = 0; j < length; ++j) {
          if (block.mask == ops::Mask::kCausal && j > i) continue;
          if (block.window >= 0 && std::max(i, j) - std::min(i, j) > block.window) continue;
          double score = 0;
          for (int64_t d = 0; d < block.head_dim; ++d) {
            score += queries[size_t(i)][size_t(h * block.head_dim + d)] *
                     keys[size_t(j)][size_t(h / group * block.head_dim + d)];
          }
          const double probability = std::exp(score * block.scale);
          total += probability;
          for (int64_t d = 0; d < block.head_dim; ++d) {
            sum[size_t(d)] +=
                probability * values[size_t(j)][size_t(h / group * block.head_dim + d)];
          }
        }
        for (int64_t d = 0; d < block.head_dim; ++d) {
          context[size_t(h * block.head_dim + d)] = sum[size_t(d)] / total;
        }
      }
      queries[size_t(i)] = context;
    }
    for (size_t i = 0; i < stream_.size(); ++i) {
      add_and_norm(stream_[i], linear(block.output, queries[i], model_.plan.width),
                   block.norm_after);
    }
  }

  void apply(const FeedForwardBlock& block) {
    for (Row& row : stream_) {
      Row inner = linear(block.up, norm(block.norm_before, row), block.inner);
      for (double& value : inner) value = activate(block.activation, value);
      add_and_norm(row, linear(block.down, inner, static_cast<int64_t>(row.size())),
                   block.norm_after);
    }
  }

  void add_and_norm(Row& row, const Row& change, const std::optional<NormSpec>& after) const {
    for (size_t c = 0; c < row.size(); ++c) row[c] += change[c];
    row = norm(after, row);
  }

  void apply(const NormBlock& block) {
    for (Row& row : stream_) row = norm(block.norm, row);
  }

  void apply(const ProjectBlock& block) {
    for (Row& row : stream_) {
      row = linear(block.linear, row, block.width);
      for (double& value : row) value = activate(block.activation, value);
    }
  }

  void apply(const PoolBlock& block) {
    Row pooled;
    size_t weighted = 0;
    for (const ops::PoolKind kind : block.parts) {
      const bool is_max = kind == ops::PoolKind::kMax;
      Row part(static_cast<size_t>(model_.plan.width),
               is_max && !stream_.empty() ? -INFINITY : 0.0);
      for (size_t i = 0; i < stream_.size(); ++i) {
        const size_t t = static_cast<size_t>(batch_.offsets[sequence_]) + i;
        for (size_t c = 0; c < part.size(); ++c) {
          const double x = stream_[i][c];
          part[c] = is_max
                        ? std::max(part[c], x)
                        : part[c] + x * (*batch_.pool_weights)[weighted * batch_.tokens.size() + t];
        }
      }
      if (!is_max) ++weighted;
      pooled.insert(pooled.end(), part.begin(), part.end());
    }
    stream_ = {pooled};
  }

  const Model& model_;
  const Batch& batch_;
  size_t sequence_;
  Rows stream_;
};

}  // namespace

std::vector<std::vector<double>> expected_streams(const Model& model, const Batch& batch) {
  std::vector<std::vector<double>> streams(model.plan.blocks.size());
  for (size_t b = 0; b + 1 < batch.offsets.size(); ++b) {
    const std::vector<Rows> rows = Evaluator(model, batch, b).run();
    for (size_t block = 0; block < streams.size(); ++block) {
      for (const Row& row : rows[block]) {
        streams[block].insert(streams[block].end(), row.begin(), row.end());
      }
    }
  }
  return streams;
}

}  // namespace multihead::test
