// Choosing tokens against an oracle that sorts, and against the probabilities it should draw with.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "engine/sampling.h"
#include "engine_device.h"
#include "test.h"

namespace multihead::test {
namespace {

using namespace engine;

constexpr ErrorCode kInvalid = ErrorCode::kInvalidArgument;

struct Chosen {
  std::vector<int32_t> tokens;
  std::vector<float> log_probabilities;
};

Chosen chosen(std::vector<float> logits, int64_t rows, const Choosing& choosing) {
  TestDevice device;
  TestExecutor executor;
  const auto columns = static_cast<int64_t>(logits.size()) / rows;
  check_choosing(choosing, rows, columns);
  Chosen result;
  result.tokens.resize(static_cast<size_t>(rows * choosing.columns()), -1);
  result.log_probabilities.resize(result.tokens.size(), NAN);
  std::vector<Distribution> distributions;
  choose({logits.data(), DType::kF32, rows, columns, columns}, choosing, device, executor,
         distributions, {result.tokens.data(), result.log_probabilities.data()});
  return result;
}

// Log-probabilities by definition, in long double.
std::vector<double> log_softmax(const std::vector<float>& logits) {
  const long double largest = *std::max_element(logits.begin(), logits.end());
  long double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - largest);
  std::vector<double> result;
  for (const float logit : logits) {
    result.push_back(static_cast<double>(logit - largest - std::log(sum)));
  }
  return result;
}

struct Kept {
  std::vector<int32_t> tokens;  // from the likeliest on, of equal ones the lowest id first
  std::vector<double> probabilities;
};

// transformers' TemperatureLogitsWarper, TopKLogitsWarper and TopPLogitsWarper, one after the
// other: the last removes, from the least likely on, what together has at most 1 - p.
Kept expected_kept(std::vector<float> logits, double temperature, int64_t k, double p,
                   const std::vector<int32_t>& banned) {
  for (const int32_t token : banned) logits[size_t(token)] = -INFINITY;
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int32_t a, int32_t b) { return logits[size_t(a)] > logits[size_t(b)]; });
  if (k > 0 && k < int64_t(order.size())) {
    const float smallest = logits[size_t(order[size_t(k - 1)])];
    while (logits[size_t(order.back())] < smallest) order.pop_back();
  }
  while (std::isinf(logits[size_t(order.back())])) order.pop_back();
  const auto softmax = [&] {
    std::vector<double> weights;
    double sum = 0;
    for (const int32_t token : order) {
      weights.push_back(
          std::exp((double(logits[size_t(token)]) - logits[size_t(order[0])]) / temperature));
      sum += weights.back();
    }
    for (double& weight : weights) weight /= sum;
    return weights;
  };
  if (p < 1) {
    const std::vector<double> all = softmax();
    double removed = 0;
    while (order.size() > 1) {
      removed += all[order.size() - 1];
      if (removed > 1 - p) break;
      order.pop_back();
    }
  }
  return {order, softmax()};
}

Choosing sampling_of(double temperature, int32_t k, double p, double uniform) {
  Choosing choosing;
  choosing.sampling =
      Sampling{{static_cast<float>(temperature)}, {k}, {static_cast<float>(p)}, {uniform}};
  return choosing;
}

std::vector<float> random_logits(std::mt19937& random, size_t count) {
  std::normal_distribution<float> normal(0, 2);
  std::vector<float> logits(count);
  const bool rounded = random() % 2 == 0;  // so that many are equal
  for (float& logit : logits) {
    logit = normal(random);
    if (rounded) logit = std::round(logit);
  }
  return logits;
}

TEST(draws_equal_those_of_an_oracle_that_sorts) {
  std::mt19937 random(1);
  std::uniform_real_distribution<double> uniform(0, 1);
  for (int i = 0; i < 4000; ++i) {
    const std::vector<float> logits = random_logits(random, 1 + random() % 40);
    const auto count = static_cast<int32_t>(logits.size());
    const auto temperature = static_cast<float>(0.1 + 2 * uniform(random));
    const auto k = static_cast<int32_t>(random() % 3 == 0 ? 0 : random() % 45);
    const float p = random() % 3 == 0 ? 1.0f : static_cast<float>(uniform(random));
    Choosing choosing = sampling_of(temperature, k, p, uniform(random));
    std::vector<int32_t> banned;
    while (random() % 2 == 0 && static_cast<int32_t>(banned.size()) + 1 < count) {
      banned.push_back(static_cast<int32_t>(random() % logits.size()));
    }
    choosing.banned = banned;
    choosing.banned_offsets = {{0, static_cast<int32_t>(banned.size())}};

    const Kept kept = expected_kept(logits, temperature, k, p, banned);
    double reached = 0;
    int32_t expected = kept.tokens.back();
    bool is_close_call = false;
    for (size_t n = 0; n < kept.tokens.size(); ++n) {
      reached += kept.probabilities[n];
      if (std::abs(reached - choosing.sampling->uniform[0]) < 1e-9) is_close_call = true;
      if (reached > choosing.sampling->uniform[0]) {
        expected = kept.tokens[n];
        break;
      }
    }
    if (is_close_call) continue;
    const Chosen got = chosen(logits, 1, choosing);
    CHECK_MESSAGE(got.tokens[0] == expected, "case " + std::to_string(i) + ": " +
                                                 std::to_string(got.tokens[0]) + ", expected " +
                                                 std::to_string(expected));
    CHECK(std::abs(got.log_probabilities[0] - log_softmax(logits)[size_t(expected)]) < 1e-5);
  }
}

// Pearson's statistic over many draws; 99.99 % of right generators stay below the bound.
TEST(draws_come_as_often_as_their_probability_says) {
  const std::vector<float> logits = {0.5f, -1, 2, 2, 0, -3, 1, 1.5f};
  const Kept kept = expected_kept(logits, 1.3, 6, 0.95, {});
  std::vector<int64_t> counts(logits.size());
  std::mt19937 random(2);
  std::uniform_real_distribution<double> uniform(0, 1);
  constexpr int kDraws = 20000;
  for (int i = 0; i < kDraws; ++i) {
    const Choosing choosing = sampling_of(1.3, 6, 0.95, uniform(random));
    ++counts[static_cast<size_t>(chosen(logits, 1, choosing).tokens[0])];
  }
  double statistic = 0;
  int64_t drawn = 0;
  for (size_t n = 0; n < kept.tokens.size(); ++n) {
    const double expected = kDraws * kept.probabilities[n];
    const auto count = static_cast<double>(counts[static_cast<size_t>(kept.tokens[n])]);
    statistic += (count - expected) * (count - expected) / expected;
    drawn += counts[static_cast<size_t>(kept.tokens[n])];
  }
  CHECK(drawn == kDraws);
  CHECK_MESSAGE(kept.tokens.size() == 6 && statistic < 25.7, std::to_string(statistic));
}

TEST(temperature_zero_takes_the_lowest_id_of_the_likeliest) {
  const Chosen got = chosen({1, 5, 5, 0, 7, -7, 7, 7}, 2,
                            {Sampling{{0, 0}, {1, 0}, {0.5f, 1}, {0.99, 0}}, {}, {}, {}});
  CHECK((got.tokens == std::vector<int32_t>{1, 0}));
}

TEST(banned_tokens_are_never_chosen_but_count_in_the_softmax) {
  Choosing choosing = sampling_of(0, 0, 1, 0);
  choosing.banned = {{2, 0, 2}};
  choosing.banned_offsets = {{0, 3}};
  const std::vector<float> logits = {3, 1, 4, 1, 0};
  const Chosen got = chosen(logits, 1, choosing);
  CHECK(got.tokens[0] == 1);
  CHECK(std::abs(got.log_probabilities[0] - log_softmax(logits)[1]) < 1e-6);
  choosing.sampling.reset();
  choosing.top = 3;
  CHECK((chosen(logits, 1, choosing).tokens == std::vector<int32_t>{1, 3, 4}));
  choosing.top = 4;
  CHECK_THROWS(check_choosing(choosing, 1, 5), kInvalid,
               "sequence 0: 3 tokens that are not banned, expected at least 4");
}

TEST(lists_are_in_order_with_their_log_probabilities) {
  std::mt19937 random(3);
  for (int i = 0; i < 200; ++i) {
    const std::vector<float> a = random_logits(random, 50);
    const std::vector<float> b = random_logits(random, 50);
    std::vector<float> both = a;
    both.insert(both.end(), b.begin(), b.end());
    Choosing choosing;
    choosing.top = 1 + static_cast<int64_t>(random() % 50);
    const Chosen got = chosen(both, 2, choosing);
    for (int64_t row = 0; row < 2; ++row) {
      const std::vector<float>& logits = row == 0 ? a : b;
      const Kept all = expected_kept(logits, 1, 0, 1, {});
      const std::vector<double> expected = log_softmax(logits);
      for (int64_t n = 0; n < *choosing.top; ++n) {
        const auto index = static_cast<size_t>(row * *choosing.top + n);
        CHECK(got.tokens[index] == all.tokens[size_t(n)]);
        CHECK(std::abs(got.log_probabilities[index] - expected[size_t(got.tokens[index])]) < 1e-5);
      }
    }
  }
}

TEST(extreme_logits_and_temperatures) {
  const float huge = std::numeric_limits<float>::max();
  CHECK(chosen({-huge, huge, 0}, 1, sampling_of(1e-38, 0, 1, 0.999)).tokens[0] == 1);
  CHECK(chosen({-huge, huge, 0}, 1, sampling_of(1e38, 0, 1, 0)).tokens[0] == 1);
  CHECK(chosen({1}, 1, sampling_of(1, 0, 0, 0.5)).tokens[0] == 0);
  CHECK(chosen({1}, 1, sampling_of(1, 0, 0, 0.5)).log_probabilities[0] == 0);
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    CHECK_THROWS(chosen({0, 0, 1, bad}, 2, {Sampling{{0, 0}, {0, 0}, {1, 1}, {0, 0}}, {}, {}, {}}),
                 ErrorCode::kWeightInvalid, "logits of sequence 1: not all finite");
  }
}

TEST(choosing_that_is_refused) {
  const auto refuse = [](const std::function<void(Choosing&)>& spoil, const std::string& message) {
    Choosing choosing;
    choosing.sampling = Sampling{{1, 1}, {0, 3}, {1, 0.5f}, {0, 0.5}};
    choosing.banned = {{4, 5, 6}};
    choosing.banned_offsets = {{0, 1, 3}};
    check_choosing(choosing, 2, 10);
    spoil(choosing);
    CHECK_THROWS(check_choosing(choosing, 2, 10), kInvalid, message);
  };
  refuse([](Choosing& c) { c.sampling.reset(); },
         "sampling and top: neither, expected one of them");
  refuse([](Choosing& c) { c.top = 3; }, "sampling and top: both, expected one of them");
  for (const int64_t top : {0, -1, 11}) {
    refuse([&](Choosing& c) { c.sampling.reset(), c.top = top; },
           "top: " + std::to_string(top) + ", expected 1 to 10");
  }
  refuse([](Choosing& c) { c.sampling->temperature.pop_back(); },
         "sampling.temperature: length 1, expected 2, one for each sequence");
  refuse([](Choosing& c) { c.sampling->temperature[1] = -1; }, "sampling.temperature[1]: -1");
  refuse([](Choosing& c) { c.sampling->temperature[0] = NAN; }, "sampling.temperature[0]: nan");
  refuse([](Choosing& c) { c.sampling->temperature[0] = INFINITY; }, "temperature[0]: inf");
  refuse([](Choosing& c) { c.sampling->top_k = {1}; }, "sampling.topK: length 1");
  refuse([](Choosing& c) { c.sampling->top_k[1] = -3; }, "sampling.topK[1]: -3");
  refuse([](Choosing& c) { c.sampling->top_p[1] = 1.5f; }, "sampling.topP[1]: 1.5");
  refuse([](Choosing& c) { c.sampling->top_p[0] = NAN; }, "sampling.topP[0]: nan");
  refuse([](Choosing& c) { c.sampling->uniform[0] = 1; }, "sampling.uniform[0]: 1");
  refuse([](Choosing& c) { c.sampling->uniform[1] = -0.1; }, "sampling.uniform[1]: -0.1");
  refuse([](Choosing& c) { c.sampling->uniform[1] = NAN; }, "sampling.uniform[1]: nan");
  refuse([](Choosing& c) { c.banned.reset(); }, "banned: none, expected both");
  refuse([](Choosing& c) { c.banned_offsets.reset(); }, "bannedOffsets: none, expected both");
  refuse([](Choosing& c) { (*c.banned)[2] = 10; }, "banned[2]: 10, expected 0 to 9");
  refuse([](Choosing& c) { (*c.banned)[0] = -1; }, "banned[0]: -1");
  refuse([](Choosing& c) { c.banned_offsets = {{0, 3}}; }, "bannedOffsets: length 2, expected 3");
  refuse([](Choosing& c) { c.banned_offsets = {{1, 1, 3}}; }, "bannedOffsets[0]: 1, expected 0");
  refuse([](Choosing& c) { c.banned_offsets = {{0, 4, 3}}; },
         "bannedOffsets[1]: 4, expected 0 to 3");
  refuse([](Choosing& c) { c.banned_offsets = {{0, 2, 1}}; }, "bannedOffsets[2]: 1, expected 2 to");
  refuse([](Choosing& c) { c.banned_offsets = {{0, 1, 2}}; }, "bannedOffsets[2]: 2, expected 3");
  refuse(
      [](Choosing& c) {
        c.banned = {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9}};
        c.banned_offsets = {{0, 0, 11}};
      },
      "sequence 1: 0 tokens that are not banned, expected at least 1");
}

}  // namespace
}  // namespace multihead::test
