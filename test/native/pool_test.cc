// The thread pool under many jobs at once, its limits, and the reading of cgroup quotas.
#include <sys/stat.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <future>
#include <set>
#include <thread>

#include "kernels/cpu/thread_limits.h"
#include "kernels/cpu/thread_pool.h"
#include "ops/registry.h"
#include "test.h"

namespace multihead::test {
namespace {

struct Count {
  std::vector<std::atomic<int>> calls;
  std::atomic<int> inside{0}, most{0};
  explicit Count(size_t tasks) : calls(tasks) {}
};

void count_task(void* context, int64_t index, int) {
  Count& count = *static_cast<Count*>(context);
  const int inside = ++count.inside;
  for (int most = count.most; inside > most && !count.most.compare_exchange_weak(most, inside);) {
  }
  ++count.calls[static_cast<size_t>(index)];
  std::this_thread::yield();
  --count.inside;
}

TEST(every_task_of_a_region_runs_once) {
  const auto lane = cpu::ThreadPool::instance().open_lane(4);
  for (size_t tasks : {0, 1, 2, 3, 4, 5, 100, 1000}) {
    Count count(tasks);
    std::promise<void> done;
    lane->submit([&](ops::Executor& executor) {
      executor.parallel(static_cast<int64_t>(tasks), count_task, &count);
      done.set_value();
    });
    done.get_future().get();
    for (const auto& calls : count.calls) CHECK(calls == 1);
  }
}

TEST(a_lane_never_uses_more_threads_than_its_limit) {
  // Other lanes keep the pool larger than this one's limit.
  const auto wide = cpu::ThreadPool::instance().open_lane(8);
  for (int limit : {1, 2, 3}) {
    const auto lane = cpu::ThreadPool::instance().open_lane(limit);
    Count count(200);
    constexpr int kJobs = 12;
    std::atomic<int> left{kJobs};
    std::promise<void> done;
    for (int i = 0; i < kJobs; ++i) {
      lane->submit([&](ops::Executor& executor) {
        CHECK(executor.workers() == limit);
        executor.parallel(200, count_task, &count);
        if (--left == 0) done.set_value();
      });
    }
    done.get_future().get();
    for (const auto& calls : count.calls) CHECK(calls == kJobs);
    CHECK_MESSAGE(
        count.most <= limit,
        std::to_string(count.most) + " threads at once on a lane of " + std::to_string(limit));
  }
}

TEST(workers_that_run_at_once_have_different_numbers) {
  struct Workers {
    std::atomic<int> busy[8] = {};
    std::atomic<bool> shared{false};
  } workers;
  const auto lane = cpu::ThreadPool::instance().open_lane(8);
  std::promise<void> done;
  lane->submit([&](ops::Executor& executor) {
    executor.parallel(
        500,
        [](void* context, int64_t, int worker) {
          Workers& all = *static_cast<Workers*>(context);
          if (worker < 0 || worker >= 8 || ++all.busy[worker] > 1) all.shared = true;
          std::this_thread::yield();
          --all.busy[worker];
        },
        &workers);
    done.set_value();
  });
  done.get_future().get();
  CHECK(!workers.shared);
}

TEST(jobs_from_many_threads_all_run_and_one_lane_keeps_their_order) {
  const auto lane = cpu::ThreadPool::instance().open_lane(1);
  std::vector<int> order;  // only the lane's one thread touches it
  std::atomic<int> total{0};
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; ++c) {
    callers.emplace_back([&total] {
      const auto own = cpu::ThreadPool::instance().open_lane(3);
      std::promise<void> done;
      std::atomic<int> left{50};
      for (int i = 0; i < 50; ++i) {
        own->submit([&](ops::Executor&) {
          ++total;
          if (--left == 0) done.set_value();
        });
      }
      done.get_future().get();
    });
  }
  std::promise<void> done;
  for (int i = 0; i < 100; ++i) {
    lane->submit([&, i](ops::Executor&) {
      order.push_back(i);
      if (i == 99) done.set_value();
    });
  }
  done.get_future().get();
  for (std::thread& caller : callers) caller.join();
  CHECK(total == 200);
  for (int i = 0; i < 100; ++i) CHECK(order[static_cast<size_t>(i)] == i);
}

TEST(a_job_may_submit_and_a_lane_may_close_before_its_jobs_ran) {
  std::promise<void> done;
  auto lane = cpu::ThreadPool::instance().open_lane(2);
  ops::Lane* raw = lane.get();
  std::promise<void> submitted;
  raw->submit([&](ops::Executor&) {
    raw->submit([&](ops::Executor&) { done.set_value(); });
    submitted.set_value();
  });
  submitted.get_future().get();
  lane.reset();
  done.get_future().get();
}

// A folder that stands in for "/" with the given files.
class Root {
 public:
  Root() {
    char name[] = "/tmp/multihead-root-XXXXXX";
    CHECK(mkdtemp(name) != nullptr);
    path_ = name;
  }
  ~Root() { (void)!std::system(("rm -rf " + path_).c_str()); }
  void write(const std::string& file, const std::string& text) {
    (void)!std::system(("mkdir -p " + path_ + file.substr(0, file.find_last_of('/'))).c_str());
    std::ofstream(path_ + file) << text;
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

TEST(cgroup_quotas_are_read_in_both_versions) {
  {
    Root none;
    CHECK(cpu::cgroup_processors(none.path()) == 0);
  }
  {
    Root v2;
    v2.write("/proc/self/cgroup", "0::/pod/box\n");
    v2.write("/sys/fs/cgroup/pod/box/cpu.max", "max 100000\n");
    CHECK(cpu::cgroup_processors(v2.path()) == 0);
    v2.write("/sys/fs/cgroup/pod/box/cpu.max", "150000 100000\n");
    CHECK(cpu::cgroup_processors(v2.path()) == 1.5);
    v2.write("/sys/fs/cgroup/pod/cpu.max", "50000 100000\n");  // the parent's is tighter
    CHECK(cpu::cgroup_processors(v2.path()) == 0.5);
    v2.write("/sys/fs/cgroup/pod/cpu.max", "rubbish\n");
    CHECK(cpu::cgroup_processors(v2.path()) == 1.5);
  }
  {
    Root v1;
    v1.write("/proc/self/cgroup", "5:cpuset:/a\n4:cpu,cpuacct:/box\n1:name=systemd:/x\n");
    v1.write("/sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "-1\n");
    v1.write("/sys/fs/cgroup/cpu/box/cpu.cfs_period_us", "100000\n");
    CHECK(cpu::cgroup_processors(v1.path()) == 0);
    v1.write("/sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "400000\n");
    CHECK(cpu::cgroup_processors(v1.path()) == 4);
  }
}

TEST(the_registry_names_what_it_has) {
  const auto statuses = ops::isa_statuses();
  CHECK(!statuses.empty() && std::string(statuses.back().name) == "baseline");
  CHECK(ops::cpu_device("baseline").table().name == std::string("baseline"));
  CHECK(&ops::cpu_device("baseline") == &ops::cpu_device("baseline"));
  CHECK_THROWS(ops::cpu_device("avx1024"), ErrorCode::kUnsupported, "isa: \"avx1024\", expected");
  setenv("MULTIHEAD_ISA", "baseline", 1);
  CHECK(ops::cpu_device("").table().name == std::string("baseline"));
  setenv("MULTIHEAD_ISA", "mmx", 1);
  CHECK_THROWS(ops::cpu_device(""), ErrorCode::kUnsupported, "MULTIHEAD_ISA: \"mmx\"");
  unsetenv("MULTIHEAD_ISA");
  const auto limits = ops::thread_limits();
  CHECK(limits.default_threads >= 1 && limits.default_threads <= limits.affinity);
}

}  // namespace
}  // namespace multihead::test
