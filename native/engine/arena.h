// Where activations live: regions with lifetimes, laid out so that those alive together never
// overlap.
//
// A layout is planned once, when a plan is compiled, in columns: an activation is [rows, columns]
// f32 and the number of rows (tokens or sequences) is known only when a batch arrives. Offsets then
// scale with the rows, and a forward plans nothing.
#pragma once

#include <cstdint>
#include <vector>

namespace multihead::engine {

struct Region {
  int64_t columns = 0;
  int64_t first = 0;   // the step that writes it
  int64_t last = 0;    // the last step that reads it, >= first
  int64_t offset = 0;  // columns; set by plan_regions
};

// Sets every region's offset so that regions whose steps [first, last] intersect do not overlap,
// and returns the columns of the whole layout. Greedy by size: the largest first, each at the
// lowest gap that fits between the regions alive with it (Pisarchyk & Lee 2020, arXiv:2001.03288).
int64_t plan_regions(std::vector<Region>& regions);

// Rows of a region are counted in groups of this many, so that every region starts at a multiple of
// 64 bytes whatever its offset in columns.
constexpr int64_t kRowGroup = 16;

}  // namespace multihead::engine
