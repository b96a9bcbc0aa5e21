#include "engine/cache.h"

#include <string>
#include <unordered_set>
#include <utility>

#include "base/error.h"

namespace multihead::engine {
namespace {

[[noreturn]] void invalid(std::string where, std::string got, std::string expected) {
  throw Error(ErrorCode::kInvalidArgument, std::move(where), std::move(got), std::move(expected));
}

std::string element(size_t index) { return "sequences[" + std::to_string(index) + "]"; }

int64_t checked_pages(const Program& program, int64_t pages) {
  if (program.code().why_not_cacheable) throw *program.code().why_not_cacheable;
  if (pages < 1 || pages > kMaxPages) {
    invalid("pages", std::to_string(pages), "1 to " + std::to_string(kMaxPages));
  }
  return pages;
}

}  // namespace

// Memories begin with one page, so that there is something to point to even if all are empty.
Cache::Cache(const Program& program, int64_t pages)
    : pages_(program.device(), program.code().stream_layers, checked_pages(program, pages)),
      memory_pages_(program.device(), program.code().memory_layers, 1) {}

CacheInfo Cache::info() const {
  return {pages_.count(), pages_.free_count(), pages_.bytes() + memory_pages_.bytes()};
}

Cache::Sequence& Cache::find(const std::vector<int32_t>& ids, size_t index) {
  const auto found = sequences_.find(ids[index]);
  if (found == sequences_.end()) {
    invalid(element(index), std::to_string(ids[index]), "the id of an open sequence");
  }
  return found->second;
}

void Cache::check_distinct(const std::vector<int32_t>& ids) const {
  std::unordered_set<int32_t> seen;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (seen.insert(ids[i]).second) continue;
    invalid(element(i), std::to_string(ids[i]) + " again", "distinct ids");
  }
}

void Cache::check_room(int64_t count) const {
  const int64_t room = kMaxOpenSequences - static_cast<int64_t>(sequences_.size());
  if (count >= 0 && count <= room) return;
  invalid("count", std::to_string(count), "0 to " + std::to_string(room) + " more sequences");
}

// Ids count up and come again only after all others, so that a stale one is an error.
int32_t Cache::add(Sequence sequence) {
  while (sequences_.count(next_id_) != 0) next_id_ = (next_id_ + 1) & 0x7fffffff;
  const int32_t id = next_id_;
  sequences_.emplace(id, std::move(sequence));
  next_id_ = (next_id_ + 1) & 0x7fffffff;
  return id;
}

std::vector<int32_t> Cache::open(int64_t count) {
  check_room(count);
  std::vector<int32_t> ids;
  ids.reserve(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) ids.push_back(add({}));
  return ids;
}

std::vector<int32_t> Cache::fork(const std::vector<int32_t>& ids) {
  check_room(static_cast<int64_t>(ids.size()));
  for (size_t i = 0; i < ids.size(); ++i) find(ids, i);
  std::vector<int32_t> forks;
  forks.reserve(ids.size());
  for (size_t i = 0; i < ids.size(); ++i) {
    const Sequence& copied = sequences_.at(forks.emplace_back(add(find(ids, i))));
    for (const int32_t page : copied.pages) pages_.share(page);
    for (const int32_t page : copied.memory_pages) memory_pages_.share(page);
  }
  return forks;
}

void Cache::release(const Sequence& sequence) noexcept {
  for (const int32_t page : sequence.pages) pages_.release(page);
  for (const int32_t page : sequence.memory_pages) memory_pages_.release(page);
}

void Cache::close(const std::vector<int32_t>& ids) {
  for (size_t i = 0; i < ids.size(); ++i) find(ids, i);
  check_distinct(ids);
  for (size_t i = 0; i < ids.size(); ++i) {
    release(find(ids, i));
    sequences_.erase(ids[i]);
  }
}

}  // namespace multihead::engine
