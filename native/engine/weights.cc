#include "engine/weights.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "engine/checked.h"

namespace multihead::engine {
namespace {

std::string errno_text(int number) { return std::strerror(number); }

std::optional<DType> dtype_from_name(const std::string& name) {
  if (name == "f32") return DType::kF32;
  if (name == "f16") return DType::kF16;
  if (name == "bf16") return DType::kBF16;
  return std::nullopt;
}

Error invalid_row(const WeightRow& row, std::string got, std::string expected) {
  return Error(ErrorCode::kWeightInvalid, row.name, std::move(got), std::move(expected));
}

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

// Levenshtein's distance is at most 2; cheap enough for a list of tensor names.
bool nearly_equal(const std::string& a, const std::string& b) {
  if (std::max(a.size(), b.size()) - std::min(a.size(), b.size()) > 2) return false;
  if (a.size() > 256) return false;
  std::vector<size_t> above(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) above[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = above[0];
    above[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = above[j];
      above[j] = std::min({above[j] + 1, above[j - 1] + 1, replaced});
    }
  }
  return above[b.size()] <= 2;
}

// Names that a person may have meant: another prefix, or a slip of the pen.
std::string near_misses(const std::string& name, const std::vector<WeightRow>& rows) {
  constexpr size_t kMaxCompared = 10000;
  std::string found;
  int count = 0;
  for (size_t i = 0; i < std::min(rows.size(), kMaxCompared) && count < 3; ++i) {
    const std::string& other = rows[i].name;
    if (!ends_with(other, "." + name) && !ends_with(name, "." + other) &&
        !nearly_equal(name, other)) {
      continue;
    }
    found += (count++ == 0 ? "" : ", ") + other;
  }
  return found;
}

// How many of a tensor's `rows` a reference takes. Throws INVALID_ARGUMENT.
int64_t selected_rows(const WeightRef& ref, int64_t rows) {
  const auto refuse = [&](const std::string& got, const std::string& expected) {
    throw Error(ErrorCode::kInvalidArgument, ref.tensor, got, expected);
  };
  const std::string within = "within [0, " + std::to_string(rows) + ")";
  if (ref.step == 0) {
    const int64_t end = ref.row_end < 0 ? rows : ref.row_end;
    if (ref.row_begin < 0 || ref.row_begin > end || end > rows) {
      refuse("rows [" + std::to_string(ref.row_begin) + ", " + std::to_string(end) + ")",
             "a range " + within);
    }
    return end - ref.row_begin;
  }
  const std::string groups = "groups of " + std::to_string(ref.group) + " of every " +
                             std::to_string(ref.step) + " rows from " +
                             std::to_string(ref.row_begin);
  if (ref.row_end >= 0) refuse(groups + " and a range", "one of them");
  if (ref.group < 1 || ref.step < ref.group || ref.row_begin < 0 || ref.row_begin > rows) {
    refuse(groups, "a group of 1 to step rows, beginning " + within);
  }
  const int64_t left = rows - ref.row_begin;
  const int64_t rest = left % ref.step;  // of the last, shorter step
  if (rest != 0 && rest < ref.group) refuse(groups, "whole groups " + within);
  return (left / ref.step + (rest != 0 ? 1 : 0)) * ref.group;
}

}  // namespace

ByteReader::ByteReader(const WeightSource& source) {
  if (const auto* memory = std::get_if<MemorySource>(&source)) {
    name_ = "weights in memory";
    memory_ = memory->bytes.data();
    size_ = static_cast<int64_t>(memory->bytes.size());
    return;
  }
  name_ = std::get<FileSource>(source).path;
  if (name_.find('\0') != std::string::npos) {
    throw Error(ErrorCode::kFileError, name_.substr(0, name_.find('\0')),
                "a path that goes on after a NUL character", "a path");
  }
  // O_NONBLOCK: opening a pipe must not wait for a writer.
  file_ = open(name_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file_ < 0) throw Error(ErrorCode::kFileError, name_, errno_text(errno), "a readable file");
  struct stat status{};
  const int failed = fstat(file_, &status) == 0 ? 0 : errno;
  if (failed != 0 || !S_ISREG(status.st_mode)) {
    close(file_);
    throw Error(ErrorCode::kFileError, name_, failed != 0 ? errno_text(failed) : "not a file",
                "a regular file");
  }
  size_ = status.st_size;
}

ByteReader::~ByteReader() {
  if (file_ >= 0) close(file_);
}

ByteReader::ByteReader(ByteReader&& other) noexcept
    : name_(std::move(other.name_)),
      file_(std::exchange(other.file_, -1)),
      memory_(other.memory_),
      size_(other.size_) {}

void ByteReader::read(int64_t offset, int64_t length, void* destination) const {
  if (length == 0) return;
  if (memory_ != nullptr) {
    std::memcpy(destination, memory_ + offset, static_cast<size_t>(length));
    return;
  }
  auto* out = static_cast<uint8_t*>(destination);
  int64_t done = 0;
  while (done < length) {
    const ssize_t got = pread(file_, out + done, static_cast<size_t>(length - done), offset + done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw Error(ErrorCode::kFileError, name_, errno_text(errno), "bytes to read");
    if (got == 0) {
      throw Error(ErrorCode::kWeightInvalid, name_,
                  "the file ends at byte " + std::to_string(offset + done),
                  std::to_string(size_) + " bytes, as when it was opened");
    }
    done += got;
  }
}

Weights::Weights(const WeightList& list) : list_(list) {
  readers_.reserve(list.sources.size());
  for (const WeightSource& source : list.sources) readers_.emplace_back(source);
  by_name_.reserve(list.rows.size());
  for (const WeightRow& row : list.rows) {
    check_row(row);
    if (!by_name_.emplace(row.name, &row).second) {
      throw invalid_row(row, "listed twice", "a unique name");
    }
  }
}

void Weights::check_row(const WeightRow& row) const {
  if (row.source < 0 || row.source >= static_cast<int64_t>(readers_.size())) {
    throw invalid_row(row, "source " + std::to_string(row.source),
                      "0 to " + std::to_string(static_cast<int64_t>(readers_.size()) - 1));
  }
  std::optional<int64_t> elements = 1;
  for (const int64_t dimension : row.shape) {
    if (dimension < 0) throw invalid_row(row, "shape " + shape_text(row.shape), "no negative size");
    elements = elements ? checked_product(*elements, dimension) : std::nullopt;
  }
  if (const auto dtype = dtype_from_name(row.dtype)) {
    const auto bytes = elements ? checked_product(*elements, element_size(*dtype)) : std::nullopt;
    if (bytes != row.byte_length) {
      throw invalid_row(row, std::to_string(row.byte_length) + " bytes",
                        (bytes ? std::to_string(*bytes) : "a possible size") + " for " + row.dtype +
                            " of shape " + shape_text(row.shape));
    }
  }
  const ByteReader& reader = readers_[static_cast<size_t>(row.source)];
  const auto end = checked_sum(row.offset, row.byte_length);
  if (row.offset < 0 || row.byte_length < 0 || !end || *end > reader.size()) {
    throw invalid_row(row,
                      "bytes " + std::to_string(row.offset) + " to " +
                          (end ? std::to_string(*end) : "beyond 2^63"),
                      "0 to " + std::to_string(reader.size()) + " (" + reader.name() + ")");
  }
}

const WeightRow& Weights::find(const std::string& name) const {
  const auto found = by_name_.find(name);
  if (found != by_name_.end()) return *found->second;
  const std::string near = near_misses(name, list_.rows);
  throw Error(ErrorCode::kWeightMissing, name,
              "not among the " + std::to_string(list_.rows.size()) + " tensors of these weights",
              near.empty() ? "" : "one of them (did you mean " + near + "?)");
}

WeightView Weights::view(const WeightRef& ref, const std::vector<int64_t>& expected) const {
  const WeightRow& row = find(ref.tensor);
  const auto dtype = dtype_from_name(row.dtype);
  if (!dtype) {
    throw Error(ErrorCode::kUnsupported, row.name, "dtype " + row.dtype, "f32, f16 or bf16");
  }
  std::vector<int64_t> stored = row.shape;
  bool transpose = ref.transpose;
  // A vector may be stored as one row; transposed, that is the vector, and the bytes are the same.
  if (transpose && expected.size() == 1 && stored.size() == 2 && stored[0] == 1) {
    stored.erase(stored.begin());
    transpose = false;
  }
  if (stored.size() != expected.size()) {
    throw Error(ErrorCode::kShapeMismatch, describe(ref), "shape " + shape_text(row.shape),
                shape_text(expected));
  }
  if (transpose && expected.size() != 2) {
    throw Error(ErrorCode::kInvalidArgument, row.name, "transpose of a vector", "no transpose");
  }
  std::vector<int64_t> shape = stored;
  if (transpose) std::swap(shape[0], shape[1]);
  shape[0] = selected_rows(ref, shape[0]);
  if (shape != expected) {
    throw Error(ErrorCode::kShapeMismatch, describe(ref), "shape " + shape_text(shape),
                shape_text(expected));
  }
  WeightView view;
  view.row = &row;
  view.dtype = *dtype;
  view.stored_rows = stored[0];
  view.stored_columns = stored.size() == 2 ? stored[1] : 1;
  view.transpose = transpose;
  view.row_begin = ref.row_begin;
  view.rows = shape[0];
  view.run = ref.step == 0 ? view.rows : ref.group;
  view.step = ref.step;
  view.columns = shape.size() == 2 ? shape[1] : 1;
  return view;
}

std::string describe(const WeightRef& ref) {
  std::string text = ref.tensor;
  if (ref.transpose) text += " transposed";
  if (ref.step != 0) {
    text += " " + std::to_string(ref.group) + " of every " + std::to_string(ref.step) +
            " rows from " + std::to_string(ref.row_begin);
    return text;
  }
  if (ref.row_begin != 0 || ref.row_end >= 0) {
    text += " rows [" + std::to_string(ref.row_begin) + ", " +
            (ref.row_end < 0 ? "end" : std::to_string(ref.row_end)) + ")";
  }
  return text;
}

}  // namespace multihead::engine
