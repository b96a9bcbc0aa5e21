// How many threads this process may usefully run: its affinity mask and its cgroup's CPU quota.
#pragma once

#include <string>

namespace multihead::cpu {

// Processors in the affinity mask; where the system has none, the number of processors.
int affinity_processors();

// quota / period of the calling process's cgroup and of the groups above it, the smallest; 0 where
// none is set. Reads cgroup v2 (cpu.max) and v1 (cpu.cfs_quota_us). `root` stands in for "/" in
// tests.
double cgroup_processors(const std::string& root = "");

}  // namespace multihead::cpu
