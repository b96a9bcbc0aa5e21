// Runs every test and prints one line for each.
#include <cstdio>
#include <exception>

#include "test.h"

int main() {
  using multihead::test::Failure;
  int failed = 0;
  for (const auto& test : multihead::test::tests()) {
    std::string problem;
    try {
      test.run();
    } catch (const Failure& failure) {
      problem = failure.message;
    } catch (const std::exception& error) {
      problem = std::string("unexpected exception: ") + error.what();
    }
    if (problem.empty()) {
      std::printf("ok   %s\n", test.name);
    } else {
      std::printf("FAIL %s: %s\n", test.name, problem.c_str());
      ++failed;
    }
  }
  const int passed = static_cast<int>(multihead::test::tests().size()) - failed;
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}
