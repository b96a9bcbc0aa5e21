// Cached decodes against forwards of the whole sequence without a cache, bit by bit: on the naive
// table and on every instruction set, through ragged batches, forks, failures and reused pages.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>

#include "engine/cache.h"
#include "engine/decode.h"
#include "engine/program.h"
#include "engine_device.h"
#include "engine_model.h"
#include "ops/registry.h"
#include "test.h"

namespace multihead::test {
namespace {

using namespace engine;

const std::atomic<bool> kNever{false};
constexpr ErrorCode kInvalid = ErrorCode::kInvalidArgument;

// What a decode chose, or would choose: every token in the order of its probability.
struct Ranking {
  std::vector<int32_t> tokens;
  std::vector<float> log_probabilities;

  bool operator==(const Ranking& other) const {
    return tokens == other.tokens &&
           std::memcmp(log_probabilities.data(), other.log_probabilities.data(),
                       log_probabilities.size() * sizeof(float)) == 0;
  }
};

// A model, its cache, and the content of each open sequence.
class Session {
 public:
  Session(Model model, ops::Device& device, int64_t pages)
      : model_(std::move(model)), device_(device), random_(17) {
    program_ = compile(model_.plan, model_.weights, device, executor_, kNever);
    cache_ = std::make_unique<Cache>(*program_, pages);
  }

  Cache& cache() { return *cache_; }
  const Program& program() const { return *program_; }
  int64_t vocabulary() const { return std::get<EmbedBlock>(model_.plan.blocks[0]).vocabulary; }

  std::vector<int32_t> open(int64_t count) { return cache_->open(count); }
  std::vector<int32_t> fork(const std::vector<int32_t>& ids) {
    const std::vector<int32_t> forks = cache_->fork(ids);
    for (size_t i = 0; i < ids.size(); ++i) contents_[forks[i]] = contents_[ids[i]];
    return forks;
  }

  // New random tokens, so many of each sequence; a memory for those that begin.
  DecodeInput input(const std::vector<int32_t>& ids, const std::vector<int32_t>& lengths) {
    DecodeInput input;
    input.sequences = ids;
    Batch& batch = input.batch;
    // The last token is left to those who ask for it by its number.
    batch = random_batch(random_(), lengths, std::max<int64_t>(vocabulary() - 1, 1), 1, 0);
    batch.types.reset();
    batch.pool_weights.reset();
    if (model_.plan.memory_width != 0) {
      add_random_memory(random_(), model_.plan.memory_width, 90, batch);
      std::vector<float> kept;
      std::vector<int32_t> offsets = {0};
      for (size_t b = 0; b < ids.size(); ++b) {
        if (contents_[ids[b]].tokens.empty()) {
          const auto rows = memory_of(batch, b);
          kept.insert(kept.end(), rows.begin(), rows.end());
        }
        offsets.push_back(static_cast<int32_t>(kept.size()) /
                          static_cast<int32_t>(model_.plan.memory_width));
      }
      batch.memory = kept;
      batch.memory_offsets = offsets;
    }
    input.choosing.top = vocabulary();
    return input;
  }

  std::vector<Ranking> run(Decode& decode, size_t sequences,
                           const std::atomic<bool>& cancelled = kNever) {
    std::vector<int32_t> tokens(static_cast<size_t>(decode.choices()), -1);
    std::vector<float> log_probabilities(tokens.size(), NAN);
    decode.run(executor_, cancelled, {tokens.data(), log_probabilities.data()});
    return split(tokens, log_probabilities, sequences);
  }

  std::vector<Ranking> decode(const DecodeInput& input) {
    Decode decode(*cache_, *program_, input);
    const std::vector<Ranking> rankings = run(decode, input.sequences.size());
    decode.keep();
    for (size_t b = 0; b < input.sequences.size(); ++b) remember(input, b);
    return rankings;
  }

  // Decodes and holds each sequence against an uncached forward of it alone.
  void check(const DecodeInput& input, const std::string& where) {
    const std::vector<Ranking> got = decode(input);
    for (size_t b = 0; b < got.size(); ++b) {
      CHECK_MESSAGE(got[b] == uncached(input.sequences[b]),
                    where + ": another result than without a cache, sequence " +
                        std::to_string(input.sequences[b]));
    }
  }
  void check(const std::vector<int32_t>& ids, const std::vector<int32_t>& lengths,
             const std::string& where) {
    check(input(ids, lengths), where);
  }

 private:
  struct Content {
    std::vector<int32_t> tokens;
    std::vector<float> memory;
  };

  std::vector<float> memory_of(const Batch& batch, size_t b) const {
    const int64_t width = model_.plan.memory_width;
    return {batch.memory->begin() + (*batch.memory_offsets)[b] * width,
            batch.memory->begin() + (*batch.memory_offsets)[b + 1] * width};
  }

  void remember(const DecodeInput& input, size_t b) {
    Content& content = contents_[input.sequences[b]];
    const Batch& batch = input.batch;
    if (content.tokens.empty() && batch.memory) content.memory = memory_of(batch, b);
    content.tokens.insert(content.tokens.end(), batch.tokens.begin() + batch.offsets[b],
                          batch.tokens.begin() + batch.offsets[b + 1]);
  }

  std::vector<Ranking> split(const std::vector<int32_t>& tokens,
                             const std::vector<float>& log_probabilities, size_t sequences) const {
    std::vector<Ranking> rankings;
    const auto columns = static_cast<int64_t>(tokens.size() / std::max<size_t>(sequences, 1));
    for (int64_t b = 0; b < static_cast<int64_t>(sequences); ++b) {
      rankings.push_back({{tokens.begin() + b * columns, tokens.begin() + (b + 1) * columns},
                          {log_probabilities.begin() + b * columns,
                           log_probabilities.begin() + (b + 1) * columns}});
    }
    return rankings;
  }

  Ranking uncached(int32_t id) {
    const Content& content = contents_[id];
    Batch batch;
    batch.tokens = content.tokens;
    batch.offsets = {0, static_cast<int32_t>(batch.tokens.size())};
    batch.selected = {{batch.offsets[1] - 1}};
    if (model_.plan.memory_width != 0) {
      batch.memory = content.memory;
      batch.memory_offsets = {{0, static_cast<int32_t>(static_cast<int64_t>(content.memory.size()) /
                                                       model_.plan.memory_width)}};
    }
    const auto last = static_cast<int32_t>(model_.plan.blocks.size()) - 1;
    program_->check(batch, {last});
    std::vector<float> logits(static_cast<size_t>(program_->output_elements(batch, last)));
    program_->run(batch, {{last, logits.data()}}, executor_, kNever);
    Choosing choosing;
    choosing.top = vocabulary();
    Ranking ranking;
    ranking.tokens.resize(logits.size());
    ranking.log_probabilities.resize(logits.size());
    std::vector<Distribution> distributions;
    choose({logits.data(), DType::kF32, 1, vocabulary(), vocabulary()}, choosing, device_,
           executor_, distributions, {ranking.tokens.data(), ranking.log_probabilities.data()});
    return ranking;
  }

  Model model_;
  ops::Device& device_;
  InOrderExecutor executor_;
  std::mt19937 random_;
  std::unique_ptr<Program> program_;
  std::unique_ptr<Cache> cache_;
  std::map<int32_t, Content> contents_;
};

int64_t memory_width(uint32_t seed) { return seed % 2 == 0 ? 0 : 5; }

// Prompts, steps of one and of several tokens, in other orders, over the ends of pages; forks that
// go on together and apart.
void decode_for_a_while(Session& session, const std::string& where) {
  const auto ids = session.open(4);
  const int32_t a = ids[0], b = ids[1], c = ids[2], d = ids[3];
  session.check({a, b, c}, {3, 63, 64}, where);
  session.check({c, a, b}, {1, 1, 1}, where);
  session.check({b, d}, {1, 5}, where);
  session.check({a}, {70}, where);
  session.check({d, c, a, b}, {1, 3, 1, 1}, where);
  const auto forks = session.fork({a, c, a});
  session.check({forks[0], a, forks[2], c}, {1, 1, 2, 1}, where);
  session.check({forks[1], forks[0], a, c}, {2, 1, 1, 1}, where);
  session.cache().close({a, forks[0]});
  session.check({forks[2], b}, {1, 1}, where);
  const auto grandchildren = session.fork({forks[2], forks[2]});
  session.cache().close({forks[2]});
  session.check({grandchildren[1], grandchildren[0]}, {1, 60}, where);
}

TEST(cached_decodes_equal_uncached_forwards_on_the_naive_table) {
  for (uint32_t seed = 0; seed < 24; ++seed) {
    TestDevice device;
    Session session(ModelBuilder::decoder(seed, memory_width(seed)), device, 20);
    decode_for_a_while(session, "seed " + std::to_string(seed));
    CHECK_MESSAGE(device.fences_intact(), "seed " + std::to_string(seed) + ": fence overwritten");
  }
}

TEST(cached_decodes_equal_uncached_forwards_on_every_instruction_set) {
  for (const ops::IsaStatus& isa : ops::isa_statuses()) {
    if (!isa.supported) continue;
    for (uint32_t seed = 100; seed < 140; ++seed) {
      Session session(ModelBuilder::decoder(seed, memory_width(seed)), ops::cpu_device(isa.name),
                      20);
      decode_for_a_while(session, std::string(isa.name) + " seed " + std::to_string(seed));
    }
  }
}

TEST(closed_sequences_give_all_pages_back) {
  TestDevice device;
  Session session(ModelBuilder::decoder(3, 5), device, 20);
  const auto ids = session.open(2);
  session.check(ids, {70, 130}, "prompts");
  CHECK(session.cache().info().pages == 20);
  CHECK(session.cache().info().free_pages == 20 - 2 - 3);
  const auto forks = session.fork({ids[0], ids[1], ids[1]});
  CHECK(session.cache().info().free_pages == 15);
  session.cache().close(ids);
  CHECK(session.cache().info().free_pages == 15);
  session.cache().close(forks);
  CHECK(session.cache().info().free_pages == 20);
}

TEST(only_unfinished_pages_are_copied_and_only_while_shared) {
  TestDevice device;
  Session session(ModelBuilder::decoder(2, 0), device, 10);
  const auto parent = session.open(1);
  session.check(parent, {70}, "prompt");
  const auto forks = session.fork({parent[0], parent[0]});
  session.check({forks[0]}, {1}, "the first fork copies");
  CHECK(session.cache().info().free_pages == 10 - 3);
  // Two holders are left: one copies, the other need not.
  session.check({forks[1], parent[0]}, {1, 1}, "both");
  CHECK(session.cache().info().free_pages == 10 - 4);
  session.check({forks[0], forks[1], parent[0]}, {1, 1, 1}, "nobody copies");
  CHECK(session.cache().info().free_pages == 10 - 4);
  const auto full = session.open(1);
  session.check(full, {64}, "a full page");
  session.check(session.fork(full), {1}, "the fork of a full page copies nothing");
  CHECK(session.cache().info().free_pages == 10 - 6);
}

TEST(exhausted_pages_are_an_error_that_changes_nothing) {
  TestDevice device;
  Session session(ModelBuilder::decoder(2, 0), device, 4);
  const auto ids = session.open(3);
  session.check({ids[0], ids[1]}, {60, 100}, "prompts");
  for (const DecodeInput& input : {session.input(ids, {5, 1, 1}), session.input({ids[2]}, {65}),
                                   session.input({ids[1], ids[0]}, {30, 69})}) {
    CHECK_THROWS(session.decode(input), ErrorCode::kOutOfMemory, "pages are free, expected");
    CHECK(session.cache().info().free_pages == 1);
  }
  const auto forks = session.fork({ids[0], ids[1]});
  CHECK_THROWS(session.decode(session.input(forks, {1, 1})), ErrorCode::kOutOfMemory,
               "cache: 0 of 4 pages are free, expected 1: close sequences");
  CHECK(session.cache().info().free_pages == 1);
  session.check({forks[0]}, {1}, "the last page is still there");
  session.cache().close(forks);
  session.check({ids[1], ids[0]}, {1, 1}, "as before");
}

// A token whose embedding is NaN spoils the keys and values of its decode, which fails; its rows,
// in unfinished pages and in new ones, are then taken by others.
void decode_over_poison(const Model& model, ops::Device& device, const std::string& where) {
  Session session(model, device, 5);
  const auto ids = session.open(2);
  session.check({ids[0]}, {70}, where);
  for (int round = 0; round < 3; ++round) {
    DecodeInput poison = session.input({ids[0], ids[1]}, {50, 100});
    for (int32_t& token : poison.batch.tokens) {
      token = static_cast<int32_t>(session.vocabulary()) - 1;
    }
    CHECK_THROWS(session.decode(poison), ErrorCode::kWeightInvalid,
                 "not all finite, expected finite numbers: the weights overflow or hold NaN");
    CHECK(session.cache().info().free_pages == 3);
  }
  session.check({ids[0]}, {1}, where);
  session.check({ids[1], ids[0]}, {70, 2}, where);
  session.check(session.fork({ids[1]}), {1}, where);
}

TEST(pages_are_reused_whatever_they_hold) {
  for (uint32_t seed = 200; seed < 230; ++seed) {
    Model model = ModelBuilder::decoder(seed, memory_width(seed));
    const auto& embed = std::get<EmbedBlock>(model.plan.blocks[0]);
    if (embed.vocabulary < 2) continue;
    for (const WeightRow& row : model.weights.rows) {
      if (row.name != embed.tokens.tensor) continue;
      auto& bytes = std::get<MemorySource>(model.weights.sources[0]).bytes;
      const auto end = bytes.begin() + row.offset + row.byte_length;
      std::fill(end - row.byte_length / embed.vocabulary, end, uint8_t{0xff});
    }
    const std::string where = "seed " + std::to_string(seed);
    TestDevice device;
    decode_over_poison(model, device, where);
    for (const ops::IsaStatus& isa : ops::isa_statuses()) {
      if (!isa.supported) continue;
      decode_over_poison(model, ops::cpu_device(isa.name), where + std::string(" ") + isa.name);
    }
  }
}

TEST(decodes_that_fail_leave_their_sequences_as_before) {
  for (uint32_t seed = 300; seed < 306; ++seed) {
    TestDevice device;
    Session session(ModelBuilder::decoder(seed, memory_width(seed)), device, 8);
    const std::string where = "seed " + std::to_string(seed);
    const auto ids = session.open(3);
    session.check({ids[0], ids[1]}, {40, 70}, where);
    const auto forks = session.fork({ids[0], ids[1]});
    const int64_t free_pages = session.cache().info().free_pages;
    const DecodeInput input = session.input({forks[1], ids[2], ids[0], ids[1]}, {1, 30, 40, 1});
    int64_t ops = 0;
    device.before_op = [&](int64_t) { ++ops; };
    {
      Decode decode(session.cache(), session.program(), input);
      session.run(decode, 4);  // and not kept
    }
    CHECK(session.cache().info().free_pages == free_pages);
    const int64_t all = ops;
    for (int64_t last = 0; last < all; last += 1 + all / 9) {
      std::atomic<bool> cancelled{last == 0};
      ops = 0;
      device.before_op = [&](int64_t) { cancelled = ++ops >= last; };
      Decode decode(session.cache(), session.program(), input);
      CHECK_THROWS(session.run(decode, 4, cancelled), ErrorCode::kAborted, "cancelled");
    }
    device.before_op = nullptr;
    CHECK(session.cache().info().free_pages == free_pages);
    session.check(input, where);
    session.check({forks[0], forks[1]}, {1, 1}, where);
  }
}

TEST(warm_decode_step_allocates_nothing_and_runs_each_weight_once) {
  TestDevice device;
  Session session(ModelBuilder::decoder(5, 5), device, 40);
  const auto ids = session.open(6);
  session.check(ids, {9, 9, 9, 9, 9, 9}, "prompts");
  int64_t ops = 0;
  device.before_op = [&](int64_t) { ++ops; };
  session.decode(session.input({ids[0]}, {1}));
  const int64_t ops_of_one = ops;
  const int64_t warm = device.allocations();
  ops = 0;
  session.decode(session.input(ids, {1, 1, 1, 1, 1, 1}));
  CHECK(ops == ops_of_one);
  CHECK(device.allocations() == warm);
}

TEST(memories_are_shared_by_forks_and_their_room_grows) {
  TestDevice device;
  Session session(ModelBuilder::decoder(7, 5), device, 100);
  const int64_t empty = session.cache().info().bytes;
  auto ids = session.open(6);
  session.check(ids, {1, 2, 3, 4, 5, 6}, "the first");
  const int64_t six = session.cache().info().bytes;
  CHECK(six > empty);
  const auto forks = session.fork(ids);
  session.check(forks, {1, 1, 1, 1, 1, 1}, "forks");
  CHECK(session.cache().info().bytes == six);
  const auto more = session.open(30);
  session.check(more, std::vector<int32_t>(30, 1), "more");
  CHECK(session.cache().info().bytes > six);
  session.check(ids, {1, 1, 1, 1, 1, 1}, "the first, moved");
  session.cache().close(more);
  const int64_t grown = session.cache().info().bytes;
  const auto others = session.open(20);
  session.check(others, std::vector<int32_t>(20, 1), "in the place of others");
  CHECK(session.cache().info().bytes == grown);
}

TEST(plans_that_a_cache_does_not_take) {
  TestDevice device;
  const auto refuse = [&](const std::function<void(Plan&)>& spoil, ErrorCode code,
                          const std::string& message) {
    Model model = ModelBuilder::decoder(2, 0);
    spoil(model.plan);
    CHECK_THROWS(Session(model, device, 1), code, message);
  };
  refuse([](Plan& plan) { plan.blocks.pop_back(), plan.blocks.pop_back(); },
         ErrorCode::kUnsupported,
         "plan.blocks: no select block, expected select, then norm and project blocks");
  size_t attention = 0;
  refuse(
      [&](Plan& plan) {
        while (!std::holds_alternative<AttentionBlock>(plan.blocks[attention])) ++attention;
        std::get<AttentionBlock>(plan.blocks[attention]).mask = ops::Mask::kFull;
      },
      ErrorCode::kUnsupported, ".mask: full, expected causal");
  for (const int64_t pages : {int64_t{0}, int64_t{-1}, kMaxPages + 1}) {
    CHECK_THROWS(Session(ModelBuilder::decoder(2, 0), device, pages), kInvalid,
                 "pages: " + std::to_string(pages) + ", expected 1 to 33554431");
  }
  CHECK_THROWS(Session(ModelBuilder::decoder(2, 0), device, kMaxPages), ErrorCode::kOutOfMemory,
               "test device");
  CHECK(device.live() == 0);
}

TEST(decodes_that_are_refused) {
  TestDevice device;
  Session session(ModelBuilder::decoder(7, 5), device, 10);
  const auto ids = session.open(3);
  session.check({ids[0]}, {3}, "prompt");
  const auto refuse = [&](const std::function<void(DecodeInput&)>& spoil,
                          const std::string& message) {
    DecodeInput input = session.input({ids[0], ids[1]}, {1, 2});
    spoil(input);
    CHECK_THROWS(session.decode(input), kInvalid, message);
  };
  refuse([](DecodeInput& i) { i.sequences[1] = 77; },
         "sequences[1]: 77, expected the id of an open sequence");
  refuse([](DecodeInput& i) { i.sequences[1] = i.sequences[0]; },
         "sequences[1]: 0 again, expected distinct ids");
  refuse([](DecodeInput& i) { i.sequences.pop_back(); }, "offsets: length 3, expected 2");
  refuse([](DecodeInput& i) { i.batch.offsets = {0, 0, 3}; },
         "sequence 0: no new token, expected at least one");
  refuse([](DecodeInput& i) { i.batch.tokens[2] = -1; }, "tokens[2]: -1");
  refuse([](DecodeInput& i) { i.batch.memory.reset(), i.batch.memory_offsets.reset(); },
         "memory: none, expected one for sequence 1, whose first tokens these are");
  refuse(
      [](DecodeInput& i) {
        i.batch.memory.emplace(10, 0.0f);
        i.batch.memory_offsets = {{0, 1, 2}};
      },
      "sequence 0: a second memory, expected none");
  refuse([](DecodeInput& i) { (*i.batch.memory)[0] = NAN; }, "memory[0]: nan");
  refuse([](DecodeInput& i) { i.choosing.top.reset(); }, "sampling and top: neither");
  CHECK_THROWS(session.cache().close({ids[0], ids[0]}), kInvalid, "sequences[1]: 0 again");
  CHECK_THROWS(session.cache().fork({ids[0], -1}), kInvalid, "sequences[1]: -1");
  CHECK_THROWS(session.cache().open(-1), kInvalid, "count: -1");
  CHECK_THROWS(session.cache().open(kMaxOpenSequences), kInvalid, "count: 1048576");
  session.cache().close({ids[2]});
  CHECK_THROWS(session.cache().close({ids[2]}), kInvalid, "sequences[0]: 2, expected the id");
  session.check({ids[1], ids[0]}, {2, 1}, "as before");
}

TEST(sequences_end_where_the_positions_do) {
  for (uint32_t seed = 0; seed < 12; ++seed) {
    TestDevice device;
    const Model model = ModelBuilder::decoder(seed, 0);
    const Positions& positions = std::get<EmbedBlock>(model.plan.blocks[0]).positions;
    int64_t longest = 1000;
    if (const auto* learned = std::get_if<LearnedPositions>(&positions)) {
      longest = learned->count - learned->offset;
    }
    if (const auto* sinusoidal = std::get_if<SinusoidalPositions>(&positions)) {
      longest = sinusoidal->count;
    }
    Session session(model, device, 20);
    const auto ids = session.open(1);
    session.check(ids, {150}, "prompt");
    if (longest == 1000) continue;
    session.check(ids, {static_cast<int32_t>(longest) - 150}, "up to the last position");
    CHECK_THROWS(session.decode(session.input(ids, {1})), kInvalid,
                 "sequence 0: " + std::to_string(longest + 1) + " tokens, the new ones included");
  }
}

}  // namespace
}  // namespace multihead::test
