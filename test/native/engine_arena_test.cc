// The arena's planner: regions alive at once never overlap, and dead ones are reused.
#include <algorithm>
#include <random>

#include "engine/arena.h"
#include "test.h"

namespace multihead::test {
namespace {

using engine::plan_regions;
using engine::Region;

// The first pair of regions that are alive together and overlap; empty: none.
std::string overlap(const std::vector<Region>& regions) {
  for (size_t i = 0; i < regions.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      const Region& a = regions[i];
      const Region& b = regions[j];
      const bool same_time = std::max(a.first, b.first) <= std::min(a.last, b.last);
      const bool same_place =
          std::max(a.offset, b.offset) < std::min(a.offset + a.columns, b.offset + b.columns);
      if (same_time && same_place) return std::to_string(j) + " and " + std::to_string(i);
    }
  }
  return "";
}

// No layout can be smaller than the most columns that are alive at one step.
int64_t most_alive(const std::vector<Region>& regions) {
  int64_t most = 0;
  for (const Region& at : regions) {
    int64_t alive = 0;
    for (const Region& region : regions) {
      if (region.first <= at.first && at.first <= region.last) alive += region.columns;
    }
    most = std::max(most, alive);
  }
  return most;
}

TEST(arena_regions_alive_together_never_overlap) {
  for (uint32_t seed = 0; seed < 500; ++seed) {
    std::mt19937 random(seed);
    std::vector<Region> regions(random() % 40);
    for (Region& region : regions) {
      region.columns = 1 + static_cast<int64_t>(random() % 100);
      region.first = static_cast<int64_t>(random() % 30);
      region.last = region.first + static_cast<int64_t>(random() % 10);
      region.offset = -1;
    }
    const int64_t total = plan_regions(regions);
    CHECK_MESSAGE(overlap(regions).empty(),
                  "seed " + std::to_string(seed) + ": regions " + overlap(regions) + " overlap");
    for (const Region& region : regions) {
      CHECK(region.offset >= 0 && region.offset + region.columns <= total);
    }
    CHECK(total >= most_alive(regions));
  }
}

TEST(arena_checker_notices_an_overlap) {
  CHECK(overlap({{10, 0, 2, 0}, {10, 2, 3, 9}}) == "0 and 1");
  CHECK(overlap({{10, 0, 2, 0}, {10, 2, 3, 10}}).empty());
  CHECK(overlap({{10, 0, 1, 0}, {10, 2, 3, 0}}).empty());
}

TEST(arena_reuses_the_place_of_dead_regions) {
  // An encoder of 48 layers, width 4: the stream lives on, three temporaries a layer do not.
  std::vector<Region> regions = {{4, 0, 48 * 5, 0}};
  for (int64_t layer = 0; layer < 48; ++layer) {
    const int64_t step = 1 + layer * 5;
    regions.push_back({12, step, step + 1, 0});
    regions.push_back({4, step + 1, step + 2, 0});
    regions.push_back({16, step + 3, step + 4, 0});
  }
  CHECK(plan_regions(regions) == 20);
  CHECK(plan_regions(regions) == most_alive(regions));
}

TEST(arena_of_nothing_is_empty) {
  std::vector<Region> none;
  CHECK(plan_regions(none) == 0);
}

}  // namespace
}  // namespace multihead::test
