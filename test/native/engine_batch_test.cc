// Batches that must be refused, each with the message that names the element.
#include <cmath>

#include "engine/batch.h"
#include "test.h"

namespace multihead::test {
namespace {

using namespace engine;

BatchLimits limits() {
  BatchLimits limits;
  limits.vocabulary = 30522;
  limits.type_count = 2;
  limits.longest_sequence = 4;
  limits.weighted_parts = 2;
  limits.memory_width = 3;
  limits.selects = Selects::kYes;
  return limits;
}

Batch good() {
  Batch batch;
  batch.tokens = {1, 2, 3, 4, 5};
  batch.offsets = {0, 3, 3, 5};
  batch.types = {0, 1, 0, 1, 0};
  batch.pool_weights = std::vector<float>(10, 0.5f);
  batch.selected = {0, 3, 4};
  batch.memory = std::vector<float>(12, 0.5f);
  batch.memory_offsets = {{0, 1, 4, 4}};
  return batch;
}

void refuse(const std::function<void(Batch&)>& spoil, const std::string& message,
            Need pool_weights = Need::kRequired) {
  check_batch(good(), limits(), {pool_weights, Need::kOptional});
  Batch batch = good();
  spoil(batch);
  CHECK_THROWS(check_batch(batch, limits(), {pool_weights, Need::kOptional}),
               ErrorCode::kInvalidArgument, message);
}

TEST(batch_tokens_outside_the_vocabulary) {
  refuse([](Batch& b) { b.tokens[4] = 30522; }, "tokens[4]: 30522, expected 0 to 30521");
  refuse([](Batch& b) { b.tokens[0] = -1; }, "tokens[0]: -1, expected 0 to 30521");
}

TEST(batch_offsets_out_of_order) {
  refuse([](Batch& b) { b.offsets.clear(); }, "offsets: length 0");
  refuse([](Batch& b) { b.offsets[0] = 1; }, "offsets[0]: 1, expected 0");
  refuse([](Batch& b) { b.offsets[2] = 2; }, "offsets[2]: 2, expected at least offsets[1] = 3");
  refuse([](Batch& b) { b.offsets[1] = -2147483647 - 1; }, "offsets[1]: -2147483648");
  refuse([](Batch& b) { b.offsets[3] = 4; }, "offsets[3]: 4, expected 5, the number of tokens");
  refuse([](Batch& b) { b.offsets[3] = 6; }, "offsets[3]: 6, expected 5");
  refuse([](Batch& b) { b.offsets = {0}; }, "offsets[0]: 0, expected 5");
}

TEST(batch_sequence_beyond_the_positions) {
  refuse([](Batch& b) { b.offsets = {0, 0, 5}; }, "sequence 1: 5 tokens, expected at most 4");
  refuse([](Batch& b) { b.offsets = {0, 2147483647}; }, "offsets[1]: 2147483647, expected 5");
}

TEST(batch_types_out_of_range) {
  refuse([](Batch& b) { (*b.types)[1] = 2; }, "types[1]: 2, expected 0 to 1");
  refuse([](Batch& b) { b.types->pop_back(); }, "types: length 4, expected 5");
}

TEST(batch_pool_weights_missing_short_or_not_finite) {
  refuse([](Batch& b) { b.pool_weights.reset(); }, "poolWeights: none, expected 10 numbers");
  refuse([](Batch& b) { b.pool_weights->pop_back(); }, "poolWeights: length 9, expected 10");
  refuse([](Batch& b) { (*b.pool_weights)[3] = NAN; }, "poolWeights[3]: nan");
  refuse([](Batch& b) { (*b.pool_weights)[9] = INFINITY; }, "poolWeights[9]: inf", Need::kOptional);
  Batch without = good();
  without.pool_weights.reset();
  without.types.reset();
  check_batch(without, limits(), {});
}

TEST(batch_selected_rows_out_of_order_or_range) {
  refuse([](Batch& b) { b.selected = {{3, 3}}; },
         "selected[1]: 3, expected more than selected[0] = 3");
  refuse([](Batch& b) { b.selected = {{3, 5}}; }, "selected[1]: 5, expected 0 to 4");
  refuse([](Batch& b) { b.selected = {{-1}}; }, "selected[0]: -1");
  BatchLimits without = limits();
  without.selects = Selects::kNo;
  CHECK_THROWS(check_batch(good(), without, {}), ErrorCode::kInvalidArgument,
               "selected: given, expected none: the plan has no select block");
}

TEST(batch_memory_missing_short_or_not_finite) {
  refuse([](Batch& b) { b.memory.reset(); }, "memory: none, expected both");
  refuse([](Batch& b) { b.memory_offsets.reset(); }, "memoryOffsets: none, expected both");
  refuse([](Batch& b) { b.memory->pop_back(); }, "memory: length 11, expected rows of 3 numbers");
  refuse([](Batch& b) { b.memory_offsets = {{0, 4}}; }, "memoryOffsets: length 2, expected 4");
  refuse([](Batch& b) { b.memory_offsets = {{1, 1, 4, 4}}; }, "memoryOffsets[0]: 1, expected 0");
  refuse([](Batch& b) { b.memory_offsets = {{0, 3, 2, 4}}; }, "memoryOffsets[2]: 2, expected at");
  refuse([](Batch& b) { b.memory_offsets = {{0, 1, 1, 3}}; },
         "memoryOffsets[3]: 3, expected 4, the number of rows of the memory");
  refuse([](Batch& b) { (*b.memory)[7] = NAN; }, "memory[7]: nan, expected a finite number");
  Batch without = good();
  without.memory.reset();
  without.memory_offsets.reset();
  check_batch(without, limits(), {});
  CHECK_THROWS(check_batch(without, limits(), {Need::kOptional, Need::kRequired}),
               ErrorCode::kInvalidArgument, "memory: none, expected rows of 3 numbers");
  BatchLimits unread = limits();
  unread.memory_width = 0;
  CHECK_THROWS(check_batch(good(), unread, {}), ErrorCode::kInvalidArgument,
               "memory: given, expected none: the plan reads no memory");
}

TEST(outputs_ascending_and_in_range) {
  check_outputs({0, 2, 3}, 4);
  const auto refuse_outputs = [](std::vector<int32_t> outputs, const std::string& message) {
    CHECK_THROWS(check_outputs(outputs, 4), ErrorCode::kInvalidArgument, message);
  };
  refuse_outputs({}, "outputs: empty");
  refuse_outputs({4}, "outputs[0]: 4, expected 0 to 3");
  refuse_outputs({-1}, "outputs[0]: -1, expected 0 to 3");
  refuse_outputs({1, 1}, "outputs[1]: 1, expected more than outputs[0] = 1");
  refuse_outputs({2, 1}, "outputs[1]: 1, expected more than outputs[0] = 2");
}

}  // namespace
}  // namespace multihead::test
