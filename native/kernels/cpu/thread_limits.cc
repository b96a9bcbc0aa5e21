#include "kernels/cpu/thread_limits.h"

#if defined(__linux__)
#include <sched.h>
#endif

#include <algorithm>
#include <fstream>
#include <sstream>
#include <thread>

namespace multihead::cpu {
namespace {

// "max 100000" or "150000 100000".
double read_v2_quota(const std::string& folder) {
  std::ifstream file(folder + "/cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max" || period <= 0) return 0;
  std::istringstream digits(quota);
  double value = 0;
  return (digits >> value) && value > 0 ? value / period : 0;
}

double read_v1_quota(const std::string& folder) {
  std::ifstream quota_file(folder + "/cpu.cfs_quota_us");
  std::ifstream period_file(folder + "/cpu.cfs_period_us");
  double quota = 0, period = 0;
  if (!(quota_file >> quota) || !(period_file >> period)) return 0;
  return quota > 0 && period > 0 ? quota / period : 0;  // a quota of -1 means none
}

double smaller_limit(double a, double b) {
  if (a == 0) return b;
  return b == 0 ? a : std::min(a, b);
}

// The tightest quota of `group` and its ancestors below `mount`.
template <typename Read>
double tightest_quota(const std::string& mount, std::string group, Read read) {
  double limit = read(mount);
  while (!group.empty() && group != "/") {
    limit = smaller_limit(limit, read(mount + group));
    group.erase(group.find_last_of('/'));
  }
  return limit;
}

bool names_cpu_controller(const std::string& controllers) {
  std::istringstream list(controllers);
  for (std::string name; std::getline(list, name, ',');) {
    if (name == "cpu") return true;
  }
  return false;
}

}  // namespace

int affinity_processors() {
#if defined(__linux__)
  cpu_set_t mask;
  if (sched_getaffinity(0, sizeof mask, &mask) == 0) return std::max(1, CPU_COUNT(&mask));
#endif
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

double cgroup_processors(const std::string& root) {
  // Lines are "hierarchy:controllers:path"; the v2 line is "0::path".
  std::ifstream groups(root + "/proc/self/cgroup");
  double limit = 0;
  for (std::string line; std::getline(groups, line);) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string group = line.substr(second + 1);
    if (group.empty() || group[0] != '/') continue;
    if (controllers.empty()) {
      limit = smaller_limit(limit, tightest_quota(root + "/sys/fs/cgroup", group, read_v2_quota));
    } else if (names_cpu_controller(controllers)) {
      limit =
          smaller_limit(limit, tightest_quota(root + "/sys/fs/cgroup/cpu", group, read_v1_quota));
    }
  }
  return limit;
}

}  // namespace multihead::cpu
