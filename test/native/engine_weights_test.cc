// Weight lists: conversions against their definition, hostile rows, files that fail or shrink.
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>

#include <sys/stat.h>
#include <unistd.h>

#include "engine/convert.h"
#include "engine/weight_loader.h"
#include "engine/weights.h"
#include "engine_device.h"
#include "test.h"

namespace multihead::test {
namespace {

using namespace engine;

const std::atomic<bool> kNever{false};

// IEEE 754 binary16 from its definition.
double half_value(uint16_t bits) {
  const int exponent = (bits >> 10) & 0x1f;
  const double fraction = (bits & 0x3ff) / 1024.0;
  const double sign = (bits & 0x8000) != 0 ? -1 : 1;
  if (exponent == 0x1f) return fraction == 0 ? sign * INFINITY : NAN;
  return sign *
         (exponent == 0 ? std::ldexp(fraction, -14) : std::ldexp(1 + fraction, exponent - 15));
}

TEST(every_f16_converts_exactly) {
  for (uint32_t bits = 0; bits <= 0xffff; ++bits) {
    const float got = f32_from_f16(static_cast<uint16_t>(bits));
    const double expected = half_value(static_cast<uint16_t>(bits));
    if (std::isnan(expected)) {
      CHECK(std::isnan(got));
      continue;
    }
    CHECK_MESSAGE(got == expected && std::signbit(got) == std::signbit(expected),
                  "bits " + std::to_string(bits));
  }
}

TEST(every_bf16_is_the_upper_half_of_an_f32) {
  for (uint32_t bits = 0; bits <= 0xffff; ++bits) {
    const float got = f32_from_bf16(static_cast<uint16_t>(bits));
    uint32_t got_bits = 0;
    std::memcpy(&got_bits, &got, sizeof(got_bits));
    CHECK(got_bits == bits << 16);
  }
  CHECK(f32_from_bf16(0x3f80) == 1.0f && f32_from_bf16(0xc040) == -3.0f);
}

TEST(conversion_reads_unaligned_bytes) {
  const uint8_t bytes[] = {0xff, 0x00, 0x3c, 0x00, 0xc0};  // 1 and -2 in f16, from the second byte
  float values[2] = {};
  convert_to_f32(DType::kF16, bytes + 1, 2, values);
  CHECK(values[0] == 1.0f && values[1] == -2.0f);
}

WeightRow row(const std::string& name, std::vector<int64_t> shape, int64_t offset,
              int64_t byte_length, const std::string& dtype = "f32") {
  return {name, dtype, std::move(shape), 0, offset, byte_length};
}

WeightList list_of(std::vector<WeightRow> rows, size_t bytes = 64) {
  WeightList list;
  list.sources.push_back(MemorySource{std::vector<uint8_t>(bytes)});
  list.rows = std::move(rows);
  return list;
}

void refuse(const WeightRow& bad, const std::string& message) {
  const WeightList list = list_of({bad});
  CHECK_THROWS(Weights{list}, ErrorCode::kWeightInvalid, message);
}

TEST(hostile_rows_are_invalid) {
  const int64_t huge = std::numeric_limits<int64_t>::max();
  refuse(row("a", {4}, 0, 15), "a: 15 bytes, expected 16 for f32 of shape [4]");
  refuse(row("a", {4}, 0, 16, "f16"), "a: 16 bytes, expected 8 for f16 of shape [4]");
  refuse(row("a", {4}, 49, 16), "a: bytes 49 to 65, expected 0 to 64");
  refuse(row("a", {4}, -1, 16), "a: bytes -1 to 15");
  refuse(row("a", {4}, huge, 16), "beyond 2^63");
  refuse(row("a", {-4}, 0, -16), "shape [-4]");
  refuse(row("a", {huge, huge}, 0, 16), "expected a possible size");
  refuse(row("a", {huge / 2}, 0, 16), "expected a possible size");
  refuse(row("a", {9}, 0, -1, "i64"), "a: bytes 0 to -1");
  WeightRow elsewhere = row("a", {4}, 0, 16);
  elsewhere.source = 1;
  refuse(elsewhere, "a: source 1, expected 0 to 0");
  elsewhere.source = -1;
  refuse(elsewhere, "a: source -1");
  const WeightList twice = list_of({row("a", {4}, 0, 16), row("a", {4}, 16, 16)});
  CHECK_THROWS(Weights{twice}, ErrorCode::kWeightInvalid, "a: listed twice");
}

WeightRef ref(const std::string& tensor, int64_t begin = 0, int64_t end = -1) {
  WeightRef result;
  result.tensor = tensor;
  result.row_begin = begin;
  result.row_end = end;
  return result;
}

TEST(views_check_names_dtypes_shapes_and_ranges) {
  const WeightList list = list_of({row("bert.layer.weight", {2, 3}, 0, 24),
                                   row("bias", {3}, 24, 12), row("ids", {2}, 36, 16, "i64"),
                                   row("row", {1, 3}, 24, 12)});
  const Weights weights(list);
  CHECK(weights.matrix(ref("bert.layer.weight"), 2, 3).elements() == 6);
  CHECK_THROWS(
      weights.matrix(ref("layer.weight"), 2, 3), ErrorCode::kWeightMissing,
      "layer.weight: not among the 4 tensors of these weights, expected one of them (did you "
      "mean bert.layer.weight?)");
  CHECK_THROWS(weights.vector(ref("bais"), 3), ErrorCode::kWeightMissing, "did you mean bias?");
  CHECK_THROWS(weights.vector(ref("entirely.else"), 3), ErrorCode::kWeightMissing, "entirely.else");
  CHECK_THROWS(weights.matrix(ref("bert.layer.weight"), 2, 4), ErrorCode::kShapeMismatch,
               "bert.layer.weight: shape [2, 3], expected [2, 4]");
  CHECK_THROWS(weights.vector(ref("bert.layer.weight"), 6), ErrorCode::kShapeMismatch,
               "shape [2, 3], expected [6]");
  CHECK_THROWS(weights.vector(ref("ids"), 2), ErrorCode::kUnsupported,
               "ids: dtype i64, expected f32, f16 or bf16");
  CHECK_THROWS(weights.matrix(ref("bert.layer.weight", 1, 3), 2, 3), ErrorCode::kInvalidArgument,
               "rows [1, 3), expected a range within [0, 2)");
  CHECK_THROWS(weights.matrix(ref("bert.layer.weight", 2, 1), 2, 3), ErrorCode::kInvalidArgument,
               "rows [2, 1)");
  CHECK_THROWS(weights.matrix(ref("bert.layer.weight", 1, 2), 2, 3), ErrorCode::kShapeMismatch,
               "bert.layer.weight rows [1, 2): shape [1, 3], expected [2, 3]");
  WeightRef transposed = ref("bias");
  transposed.transpose = true;
  CHECK_THROWS(weights.vector(transposed, 3), ErrorCode::kInvalidArgument, "transpose of a vector");
  WeightRef one_row = ref("row");
  CHECK_THROWS(weights.vector(one_row, 3), ErrorCode::kShapeMismatch, "shape [1, 3], expected [3]");
  one_row.transpose = true;
  CHECK(weights.vector(one_row, 3).elements() == 3);
  CHECK_THROWS(weights.vector(one_row, 2), ErrorCode::kShapeMismatch, "shape [3], expected [2]");
}

class TemporaryFile {
 public:
  explicit TemporaryFile(const std::vector<uint8_t>& bytes) {
    char name[] = "/tmp/multihead-engine-XXXXXX";
    file_ = mkstemp(name);
    path = name;
    CHECK(file_ >= 0 && write(file_, bytes.data(), bytes.size()) == ssize_t(bytes.size()));
  }
  ~TemporaryFile() {
    close(file_);
    unlink(path.c_str());
  }
  void truncate(off_t size) { CHECK(ftruncate(file_, size) == 0); }

  std::string path;

 private:
  int file_;
};

TEST(file_that_shrinks_is_an_error_not_a_signal) {
  TemporaryFile file(std::vector<uint8_t>(4096, 1));
  WeightList list = list_of({row("a", {1024}, 0, 4096)});
  list.sources[0] = FileSource{file.path};
  const Weights weights(list);
  const WeightView view = weights.vector(ref("a"), 1024);
  std::vector<uint8_t> bytes(4096);
  weights.reader(view).read(0, 4096, bytes.data());
  CHECK(bytes == std::vector<uint8_t>(4096, 1));
  file.truncate(100);
  CHECK_THROWS(weights.reader(view).read(0, 4096, bytes.data()), ErrorCode::kWeightInvalid,
               "the file ends at byte 100, expected 4096 bytes");
  TestDevice device;
  TestExecutor executor;
  WeightLoader loader(weights, device, executor, kNever);
  std::vector<float> destination(1024);
  CHECK_THROWS(loader.load_f32(view, destination.data()), ErrorCode::kWeightInvalid, file.path);
}

TEST(files_that_cannot_be_read) {
  const auto refuse_file = [](const std::string& path, const std::string& message) {
    CHECK_THROWS(ByteReader(FileSource{path}), ErrorCode::kFileError, message);
  };
  refuse_file("/nonexistent/model.safetensors", "No such file or directory");
  refuse_file("/tmp", "not a file, expected a regular file");
  refuse_file("", "No such file");
  refuse_file(std::string("/tmp/a\0b", 8), "NUL");
  const std::string pipe = "/tmp/multihead-engine-pipe-" + std::to_string(getpid());
  CHECK(mkfifo(pipe.c_str(), 0600) == 0);
  const auto error = thrown_by([&] { ByteReader{FileSource{pipe}}; });
  unlink(pipe.c_str());
  CHECK(error && error->code() == ErrorCode::kFileError);
}

TEST(large_transposed_range_loads_in_pieces) {
  // More than one piece, so that a piece ends within a row.
  const int64_t rows = 700;
  const int64_t columns = 301;
  std::vector<float> stored(static_cast<size_t>(rows * columns));
  for (size_t i = 0; i < stored.size(); ++i) stored[i] = static_cast<float>(i);
  WeightList list = list_of({row("a", {rows, columns}, 4, rows * columns * 4)},
                            stored.size() * sizeof(float) + 4);
  std::memcpy(std::get<MemorySource>(list.sources[0]).bytes.data() + 4, stored.data(),
              stored.size() * sizeof(float));
  const Weights weights(list);
  WeightRef view_ref = ref("a", 100, 300);
  view_ref.transpose = true;
  const WeightView view = weights.matrix(view_ref, 200, rows);
  TestDevice device;
  TestExecutor executor;
  WeightLoader loader(weights, device, executor, kNever);
  std::vector<float> loaded(static_cast<size_t>(view.elements()), NAN);
  loader.load_f32(view, loaded.data());
  for (int64_t r = 0; r < view.rows; ++r) {
    for (int64_t c = 0; c < view.columns; ++c) {
      CHECK(loaded[size_t(r * rows + c)] == stored[size_t(c * columns + 100 + r)]);
    }
  }
  const WeightView straight = weights.matrix(ref("a", 5, 695), 690, columns);
  loaded.assign(static_cast<size_t>(straight.elements()), NAN);
  loader.load_f32(straight, loaded.data());
  CHECK(std::memcmp(loaded.data(), stored.data() + 5 * columns, loaded.size() * 4) == 0);
}

TEST(cancelled_load_stops) {
  const WeightList list = list_of({row("a", {16}, 0, 64)});
  const Weights weights(list);
  TestDevice device;
  TestExecutor executor;
  const std::atomic<bool> cancelled{true};
  WeightLoader loader(weights, device, executor, cancelled);
  std::vector<float> destination(16);
  CHECK_THROWS(loader.load_f32(weights.vector(ref("a"), 16), destination.data()),
               ErrorCode::kAborted, "load: cancelled");
}

}  // namespace
}  // namespace multihead::test
