#include "engine/arena.h"

#include <algorithm>
#include <numeric>

namespace multihead::engine {
namespace {

bool alive_together(const Region& a, const Region& b) {
  return a.first <= b.last && b.first <= a.last;
}

// The lowest offset at which `region` fits between `neighbours`, which are sorted by offset.
int64_t lowest_gap(const Region& region, const std::vector<const Region*>& neighbours) {
  int64_t offset = 0;
  for (const Region* neighbour : neighbours) {
    if (offset + region.columns <= neighbour->offset) break;
    offset = std::max(offset, neighbour->offset + neighbour->columns);
  }
  return offset;
}

}  // namespace

int64_t plan_regions(std::vector<Region>& regions) {
  std::vector<size_t> order(regions.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return regions[a].columns > regions[b].columns; });

  int64_t total = 0;
  std::vector<const Region*> placed;  // sorted by offset
  std::vector<const Region*> neighbours;
  for (const size_t index : order) {
    Region& region = regions[index];
    neighbours.clear();
    for (const Region* other : placed) {
      if (alive_together(region, *other)) neighbours.push_back(other);
    }
    region.offset = lowest_gap(region, neighbours);
    total = std::max(total, region.offset + region.columns);
    const auto position =
        std::upper_bound(placed.begin(), placed.end(), &region,
                         [](const Region* a, const Region* b) { return a->offset < b->offset; });
    placed.insert(position, &region);
  }
  return total;
}

}  // namespace multihead::engine
