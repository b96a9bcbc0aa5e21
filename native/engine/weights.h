// The tensors that a plan can name: rows of parsed weight files, checked, and the bytes behind
// them.
//
// Files are read with pread, not mapped: a file that shrinks or fails while it is read is a typed
// error, never a signal. Nothing here depends on a file format; lib/weights parses headers into
// rows.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "base/tensor.h"
#include "engine/plan.h"

namespace multihead::engine {

struct WeightRow {
  std::string name;
  std::string dtype;           // "f32", "f16", "bf16"; another one is an error only when it is used
  std::vector<int64_t> shape;  // empty: a scalar
  int64_t source = 0;          // index into WeightList::sources
  int64_t offset = 0;          // bytes from the start of the source
  int64_t byte_length = 0;
};

struct FileSource {
  std::string path;
};
struct MemorySource {
  std::vector<uint8_t> bytes;
};
using WeightSource = std::variant<FileSource, MemorySource>;

struct WeightList {
  std::vector<WeightSource> sources;
  std::vector<WeightRow> rows;
};

// A WeightRef whose tensor was found and whose shape was checked: rows x columns elements as the
// plan sees them. A vector is rows x 1.
struct WeightView {
  const WeightRow* row = nullptr;
  DType dtype = DType::kF32;
  int64_t stored_rows = 0;  // of the tensor as it lies in the source
  int64_t stored_columns = 0;
  int64_t row_begin = 0;  // the view's first row, counted after transposition
  int64_t run = 0;        // rows that lie together; of every `step` rows the first `run`
  int64_t step = 0;       // 0: all rows lie together
  int64_t rows = 0;
  int64_t columns = 0;
  bool transpose = false;

  int64_t elements() const { return rows * columns; }
  int64_t runs() const { return run == 0 ? 0 : rows / run; }
};

// An open source of bytes. Thread-safe.
class ByteReader {
 public:
  // Throws FILE_ERROR when a file cannot be opened or is not a regular file.
  explicit ByteReader(const WeightSource& source);
  ~ByteReader();
  ByteReader(ByteReader&& other) noexcept;
  ByteReader(const ByteReader&) = delete;
  ByteReader& operator=(const ByteReader&) = delete;

  int64_t size() const { return size_; }
  const std::string& name() const { return name_; }

  // Copies bytes [offset, offset + length) to `destination`. Throws FILE_ERROR when the operating
  // system fails, WEIGHT_INVALID when the file has become shorter.
  void read(int64_t offset, int64_t length, void* destination) const;

 private:
  std::string name_;
  int file_ = -1;
  const uint8_t* memory_ = nullptr;
  int64_t size_ = 0;
};

class Weights {
 public:
  // Opens every source and checks every row: unique names, a source that exists, sizes that agree
  // with the shape and lie inside the source. Keeps a reference to `list`. Throws WEIGHT_INVALID or
  // FILE_ERROR.
  explicit Weights(const WeightList& list);

  // Throws WEIGHT_MISSING naming the tensor and near misses, UNSUPPORTED for its dtype,
  // INVALID_ARGUMENT for rows outside the tensor, SHAPE_MISMATCH.
  WeightView matrix(const WeightRef& ref, int64_t rows, int64_t columns) const {
    return view(ref, {rows, columns});
  }
  WeightView vector(const WeightRef& ref, int64_t elements) const { return view(ref, {elements}); }

  const ByteReader& reader(const WeightView& view) const {
    return readers_[static_cast<size_t>(view.row->source)];
  }
  const std::vector<WeightRow>& rows() const { return list_.rows; }

 private:
  WeightView view(const WeightRef& ref, const std::vector<int64_t>& expected) const;
  const WeightRow& find(const std::string& name) const;
  void check_row(const WeightRow& row) const;

  const WeightList& list_;
  std::vector<ByteReader> readers_;
  std::unordered_map<std::string, const WeightRow*> by_name_;
};

// "tensor", "tensor rows [0, 384)", "tensor transposed", "tensor 64 of every 192 rows from 0": how
// messages and caches name a view.
std::string describe(const WeightRef& ref);

}  // namespace multihead::engine
