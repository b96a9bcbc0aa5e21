#include "engine/sampling.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <unordered_set>
#include <utility>

#include "base/error.h"
#include "engine/parallel.h"

namespace multihead::engine {
namespace {

constexpr float kBanned = -std::numeric_limits<float>::infinity();

[[noreturn]] void invalid(std::string where, std::string got, std::string expected) {
  throw Error(ErrorCode::kInvalidArgument, std::move(where), std::move(got), std::move(expected));
}

std::string element(const std::string& name, size_t index) {
  return name + "[" + std::to_string(index) + "]";
}

// One entry for each sequence, each of which `is_valid`.
template <typename T, typename F>
void check_entries(const std::string& name, const std::vector<T>& values, int64_t sequences,
                   const char* expected, F&& is_valid) {
  if (static_cast<int64_t>(values.size()) != sequences) {
    invalid(name, "length " + std::to_string(values.size()),
            std::to_string(sequences) + ", one for each sequence");
  }
  for (size_t i = 0; i < values.size(); ++i) {
    if (!is_valid(values[i])) invalid(element(name, i), std::to_string(values[i]), expected);
  }
}

void check_sampling(const Sampling& sampling, int64_t sequences) {
  check_entries("sampling.temperature", sampling.temperature, sequences,
                "a finite number, at least 0", [](float t) { return t >= 0 && std::isfinite(t); });
  check_entries("sampling.topK", sampling.top_k, sequences, "at least 0",
                [](int32_t k) { return k >= 0; });
  check_entries("sampling.topP", sampling.top_p, sequences, "0 to 1",
                [](float p) { return p >= 0 && p <= 1; });
  check_entries("sampling.uniform", sampling.uniform, sequences, "at least 0 and below 1",
                [](double u) { return u >= 0 && u < 1; });
}

void check_banned(const Choosing& choosing, int64_t sequences, int64_t vocabulary) {
  if (choosing.banned.has_value() != choosing.banned_offsets.has_value()) {
    invalid(choosing.banned ? "bannedOffsets" : "banned", "none", "both banned and bannedOffsets");
  }
  if (!choosing.banned) return;
  const std::vector<int32_t>& offsets = *choosing.banned_offsets;
  const std::vector<int32_t>& tokens = *choosing.banned;
  check_entries("banned", tokens, static_cast<int64_t>(tokens.size()),
                ("0 to " + std::to_string(vocabulary - 1)).c_str(),
                [&](int32_t token) { return token >= 0 && token < vocabulary; });
  if (static_cast<int64_t>(offsets.size()) != sequences + 1) {
    invalid("bannedOffsets", "length " + std::to_string(offsets.size()),
            std::to_string(sequences + 1) + ", as many as offsets");
  }
  int32_t before = 0;
  for (size_t b = 0; b < offsets.size(); ++b) {
    const bool starts = b > 0 || offsets[b] == 0;
    if (!starts || offsets[b] < before || offsets[b] > static_cast<int64_t>(tokens.size())) {
      invalid(element("bannedOffsets", b), std::to_string(offsets[b]),
              b == 0 ? "0"
                     : std::to_string(before) + " to " + std::to_string(tokens.size()) +
                           ", the number of banned tokens");
    }
    // Counted apart from each other only where they might be too many.
    if (vocabulary - (offsets[b] - before) < choosing.columns()) {
      const std::unordered_set<int32_t> distinct(tokens.begin() + before,
                                                 tokens.begin() + offsets[b]);
      const int64_t left = vocabulary - static_cast<int64_t>(distinct.size());
      if (left < choosing.columns()) {
        invalid("sequence " + std::to_string(b - 1),
                std::to_string(left) + " tokens that are not banned",
                "at least " + std::to_string(choosing.columns()));
      }
    }
    before = offsets[b];
  }
  if (static_cast<size_t>(before) != tokens.size()) {
    invalid(element("bannedOffsets", offsets.size() - 1), std::to_string(before),
            std::to_string(tokens.size()) + ", the number of banned tokens");
  }
}

}  // namespace

void check_choosing(const Choosing& choosing, int64_t sequences, int64_t vocabulary) {
  if (choosing.sampling.has_value() == choosing.top.has_value()) {
    invalid("sampling and top", choosing.top ? "both" : "neither", "one of them");
  }
  if (choosing.sampling) check_sampling(*choosing.sampling, sequences);
  if (choosing.top && (*choosing.top < 1 || *choosing.top > vocabulary)) {
    invalid("top", std::to_string(*choosing.top), "1 to " + std::to_string(vocabulary));
  }
  check_banned(choosing, sequences, vocabulary);
}

void Distribution::load(const Matrix& logits, int64_t row, ops::Device& device) {
  logits_.resize(static_cast<size_t>(logits.columns));
  device.download(logits_.data(), logits.f32_row(row),
                  logits.columns * static_cast<int64_t>(sizeof(float)));
  bool finite = true;
  float largest = logits_[0];
  for (const float logit : logits_) {
    finite = finite && std::isfinite(logit);
    largest = std::max(largest, logit);
  }
  if (!finite) {
    throw Error(ErrorCode::kWeightInvalid, "logits of sequence " + std::to_string(row),
                "not all finite", "finite numbers: the weights overflow or hold NaN");
  }
  largest_ = largest;
  double sum = 0;
  for (const float logit : logits_) sum += std::exp(static_cast<double>(logit) - largest_);
  log_sum_ = std::log(sum);
}

void Distribution::ban(const int32_t* begin, const int32_t* end) {
  for (; begin != end; ++begin) logits_[static_cast<size_t>(*begin)] = kBanned;
}

int32_t Distribution::most_likely() const {
  return static_cast<int32_t>(std::max_element(logits_.begin(), logits_.end()) - logits_.begin());
}

float Distribution::log_probability(int32_t token) const {
  const double logit = logits_[static_cast<size_t>(token)];
  return static_cast<float>(logit - largest_ - log_sum_);
}

void Distribution::start_order() {
  tokens_.clear();
  for (size_t i = 0; i < logits_.size(); ++i) {
    if (logits_[i] != kBanned) tokens_.push_back(static_cast<int32_t>(i));
  }
  ordered_ = 0;
}

// The n-th likeliest token that is not banned, n from 0; of equal ones the lowest id first.
int32_t Distribution::nth_likely(size_t n) {
  const auto less_likely = [this](int32_t a, int32_t b) {
    const float x = logits_[static_cast<size_t>(a)];
    const float y = logits_[static_cast<size_t>(b)];
    return x < y || (x == y && a > b);
  };
  if (ordered_ == 0) std::make_heap(tokens_.begin(), tokens_.end(), less_likely);
  for (; ordered_ <= n; ++ordered_) {
    std::pop_heap(tokens_.begin(), tokens_.end() - static_cast<int64_t>(ordered_), less_likely);
  }
  return tokens_[tokens_.size() - 1 - n];
}

// k, or more if tokens are as likely as the k-th.
size_t Distribution::count_likeliest(size_t k) {
  const auto logit = [this](size_t n) { return logits_[static_cast<size_t>(nth_likely(n))]; };
  size_t count = k;
  while (count < tokens_.size() && logit(count) == logit(k - 1)) ++count;
  return count;
}

// Relative to the likeliest token.
double Distribution::weight(int32_t token, double temperature) const {
  return std::exp((static_cast<double>(logits_[static_cast<size_t>(token)]) - likeliest_) /
                  temperature);
}

int32_t Distribution::draw(const Sampling& sampling, size_t sequence) {
  const double temperature = sampling.temperature[sequence];
  if (temperature == 0) return most_likely();
  const auto top_k = static_cast<size_t>(sampling.top_k[sequence]);
  const double top_p = sampling.top_p[sequence];
  start_order();
  likeliest_ = logits_[static_cast<size_t>(nth_likely(0))];

  size_t kept = tokens_.size();
  double mass = 0;
  if (top_k > 0 && top_k < kept) {
    kept = count_likeliest(top_k);
    for (size_t n = 0; n < kept; ++n) mass += weight(nth_likely(n), temperature);
  } else {
    for (const int32_t token : tokens_) mass += weight(token, temperature);
  }
  if (top_p < 1) {
    const double enough = top_p * mass;
    mass = weight(nth_likely(0), temperature);
    size_t n = 1;
    for (; n < kept && mass < enough; ++n) mass += weight(nth_likely(n), temperature);
    kept = n;
  }
  const double drawn = sampling.uniform[sequence] * mass;
  double reached = 0;
  for (size_t n = 0; n + 1 < kept; ++n) {
    reached += weight(nth_likely(n), temperature);
    if (reached > drawn) return nth_likely(n);
  }
  return nth_likely(kept - 1);
}

void Distribution::list(int64_t count, int32_t* tokens, float* log_probabilities) {
  start_order();
  for (int64_t n = 0; n < count; ++n) {
    tokens[n] = nth_likely(static_cast<size_t>(n));
    log_probabilities[n] = log_probability(tokens[n]);
  }
}

void choose(const Matrix& logits, const Choosing& choosing, ops::Device& device,
            ops::Executor& executor, std::vector<Distribution>& distributions,
            const Choice& choice) {
  const auto workers = static_cast<size_t>(executor.workers());
  if (distributions.size() < workers) distributions.resize(workers);
  parallel_for(executor, logits.rows, [&](int64_t row, int worker) {
    Distribution& distribution = distributions[static_cast<size_t>(worker)];
    distribution.load(logits, row, device);
    const auto sequence = static_cast<size_t>(row);
    if (choosing.banned) {
      const int32_t* banned = choosing.banned->data();
      const std::vector<int32_t>& offsets = *choosing.banned_offsets;
      distribution.ban(banned + offsets[sequence], banned + offsets[sequence + 1]);
    }
    int32_t* tokens = choice.tokens + row * choosing.columns();
    float* log_probabilities = choice.log_probabilities + row * choosing.columns();
    if (choosing.sampling) {
      *tokens = distribution.draw(*choosing.sampling, sequence);
      *log_probabilities = distribution.log_probability(*tokens);
    } else {
      distribution.list(choosing.columns(), tokens, log_probabilities);
    }
  });
}

}  // namespace multihead::engine
