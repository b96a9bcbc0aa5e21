#include "engine/decode.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/error.h"
#include "engine/forward.h"
#include "engine/key_rows.h"

namespace multihead::engine {
namespace {

[[noreturn]] void invalid(std::string where, std::string got, std::string expected) {
  throw Error(ErrorCode::kInvalidArgument, std::move(where), std::move(got), std::move(expected));
}

void stop_if(const std::atomic<bool>& cancelled) {
  if (!cancelled.load(std::memory_order_relaxed)) return;
  throw Error(ErrorCode::kAborted, "decode", "cancelled");
}

// The row of a cache's layer that holds key `j` of a sequence with these pages.
int32_t row_of(const std::vector<int32_t>& pages, int64_t j) {
  const int64_t page = pages[static_cast<size_t>(j / ops::kKeyBlock)];
  return static_cast<int32_t>(page * ops::kKeyBlock + j % ops::kKeyBlock);
}

}  // namespace

Decode::Decode(Cache& cache, const Program& program, DecodeInput input)
    : cache_(cache), program_(program), input_(std::move(input)) {
  for (size_t i = 0; i < input_.sequences.size(); ++i) {
    sequences_.push_back(&cache.find(input_.sequences, i));
  }
  cache.check_distinct(input_.sequences);
  replaced_.reserve(sequences_.size());
  check();
}

void Decode::check() const {
  const Batch& batch = input_.batch;
  const Code& code = program_.code();
  check_batch(batch, code.limits, {});
  const auto sequences = static_cast<int64_t>(sequences_.size());
  if (batch.sequences() != sequences) {
    invalid("offsets", "length " + std::to_string(batch.offsets.size()),
            std::to_string(sequences + 1) + ", one more than sequences");
  }
  for (size_t b = 0; b < sequences_.size(); ++b) {
    const std::string where = "sequence " + std::to_string(input_.sequences[b]);
    if (new_tokens(b) == 0) invalid(where, "no new token", "at least one");
    const int64_t length = sequences_[b]->length + new_tokens(b);
    if (length > code.limits.longest_sequence) {
      invalid(where, std::to_string(length) + " tokens, the new ones included",
              "at most " + std::to_string(code.limits.longest_sequence));
    }
  }
  check_memory();
  check_choosing(input_.choosing, sequences, code.blocks.back().stream.columns);
}

void Decode::check_memory() const {
  if (!reads_memory()) return;
  for (size_t b = 0; b < sequences_.size(); ++b) {
    const std::string where = "sequence " + std::to_string(input_.sequences[b]);
    const bool is_new = sequences_[b]->length == 0;
    if (is_new && !input_.batch.memory) {
      invalid("memory", "none", "one for " + where + ", whose first tokens these are");
    }
    if (!is_new && new_memory(b) > 0) {
      invalid(where, "a second memory", "none: it keeps the one of its first tokens");
    }
  }
}

int64_t Decode::new_memory(size_t b) const {
  if (!input_.batch.memory_offsets) return 0;
  return (*input_.batch.memory_offsets)[b + 1] - (*input_.batch.memory_offsets)[b];
}

void Decode::run(ops::Executor& executor, const std::atomic<bool>& cancelled,
                 const Choice& choice) {
  const Code& code = program_.code();
  reserve(executor, cancelled);
  if (reads_memory()) reserve_memory(executor);
  const Program::Lease workspace = program_.lease_workspace();
  number_rows(*workspace);
  const KeptKeys kept = {cache_.pages_.layers(), cache_.memory_pages_.layers()};
  const auto last = static_cast<int32_t>(code.blocks.size()) - 1;
  Forward forward(code, program_.device(), input_.batch, &kept, last, executor, *workspace);
  for (const BlockCode& block : code.blocks) forward.run(block, cancelled);
  stop_if(cancelled);
  choose(forward.view(code.blocks.back().stream), input_.choosing, program_.device(), executor,
         workspace->distributions, choice);
}

// Pages for the new tokens, none of which another sequence holds.
void Decode::reserve(ops::Executor& executor, const std::atomic<bool>& cancelled) {
  for (size_t b = 0; b < sequences_.size(); ++b) {
    stop_if(cancelled);
    Cache::Sequence& sequence = *sequences_[b];
    const auto needed = static_cast<size_t>(key_blocks(sequence.length + new_tokens(b)));
    cache_.pages_.check_free(static_cast<int64_t>(needed - sequence.pages.size()));
    sequence.pages.reserve(needed);
    if (sequence.length % ops::kKeyBlock != 0) own_last_page(sequence, executor);
    while (sequence.pages.size() < needed) sequence.pages.push_back(cache_.pages_.take());
  }
}

// The others' page is released at once: of two holders that append, the second need not copy.
void Decode::own_last_page(Cache::Sequence& sequence, ops::Executor& executor) {
  const int32_t page = sequence.pages.back();
  if (!cache_.pages_.is_shared(page)) return;
  const int32_t copy = cache_.pages_.take();
  cache_.pages_.copy(page, copy, sequence.length % ops::kKeyBlock, executor);
  sequence.pages.back() = copy;
  cache_.pages_.release(page);
  replaced_.push_back({&sequence, page});
}

void Decode::reserve_memory(ops::Executor& executor) {
  Pages& pages = cache_.memory_pages_;
  int64_t needed = 0;
  for (size_t b = 0; b < sequences_.size(); ++b) needed += key_blocks(new_memory(b));
  if (needed > pages.free_count()) {
    pages.grow(std::max(2 * pages.count(), pages.count() + needed - pages.free_count()), executor);
  }
  for (size_t b = 0; b < sequences_.size(); ++b) {
    Cache::Sequence& sequence = *sequences_[b];
    if (sequence.length > 0) continue;
    sequence.memory_rows = new_memory(b);
    const auto blocks = static_cast<size_t>(key_blocks(sequence.memory_rows));
    sequence.memory_pages.reserve(blocks);
    while (sequence.memory_pages.size() < blocks) sequence.memory_pages.push_back(pages.take());
  }
}

void Decode::number_rows(Workspace& workspace) const {
  RowNumbers& rows = workspace.rows;
  rows.clear();
  for (size_t b = 0; b < sequences_.size(); ++b) {
    const Cache::Sequence& sequence = *sequences_[b];
    const int64_t end = sequence.length + new_tokens(b);
    for (int64_t j = sequence.length; j < end; ++j) {
      rows.positions.push_back(static_cast<int32_t>(program_.code().position_offset + j));
      rows.kept_tokens.push_back(row_of(sequence.pages, j));
    }
    rows.stream_keys.add_pages(end, sequence.pages);
    rows.selected.push_back(input_.batch.offsets[b + 1] - 1);
    if (!reads_memory()) continue;
    for (int64_t j = 0; j < new_memory(b); ++j) {
      rows.kept_memory.push_back(row_of(sequence.memory_pages, j));
    }
    rows.memory_keys.add_pages(sequence.memory_rows, sequence.memory_pages);
  }
}

void Decode::keep() noexcept {
  for (size_t b = 0; b < sequences_.size(); ++b) sequences_[b]->length += new_tokens(b);
  sequences_.clear();
  replaced_.clear();
}

Decode::~Decode() {
  for (Cache::Sequence* sequence : sequences_) {
    while (static_cast<int64_t>(sequence->pages.size()) > key_blocks(sequence->length)) {
      cache_.pages_.release(sequence->pages.back());
      sequence->pages.pop_back();
    }
    if (sequence->length > 0) continue;
    for (const int32_t page : sequence->memory_pages) cache_.memory_pages_.release(page);
    sequence->memory_pages.clear();
    sequence->memory_rows = 0;
  }
  for (const Replaced& replaced : replaced_) {
    int32_t& page = replaced.sequence->pages.back();
    cache_.pages_.release(page);
    page = replaced.page;
    cache_.pages_.share(page);
  }
}

}  // namespace multihead::engine
