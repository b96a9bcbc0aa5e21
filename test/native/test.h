// A very small test runner for native code: named tests, checks that say where and what, a seeded
// generator, and the error that a call throws.
#pragma once

#include <cstdint>
#include <cstdio>
#include <functional>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "base/error.h"

namespace multihead::test {

struct Failure {
  std::string message;
};

struct Test {
  const char* name;
  void (*run)();
};

inline std::vector<Test>& tests() {
  static std::vector<Test> all;
  return all;
}

struct Registration {
  Registration(const char* name, void (*run)()) { tests().push_back({name, run}); }
};

inline void check(bool condition, const std::string& what, const char* file, int line) {
  if (!condition) throw Failure{std::string(file) + ":" + std::to_string(line) + ": " + what};
}

// What `f` throws; none if it returns. Another type than Error is a failure.
inline std::optional<Error> thrown_by(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& error) {
    return error;
  }
  return std::nullopt;
}

inline void check_throws(const std::function<void()>& f, ErrorCode code, const std::string& message,
                         const char* file, int line) {
  const std::optional<Error> error = thrown_by(f);
  check(error.has_value(), "nothing was thrown, expected " + message, file, line);
  check(error->code() == code && std::string(error->what()).find(message) != std::string::npos,
        std::string("threw ") + error_code_name(error->code()) + " " + error->what() +
            ", expected " + error_code_name(code) + " " + message,
        file, line);
}

}  // namespace multihead::test

#define TEST(name)                                                             \
  static void name();                                                          \
  static const multihead::test::Registration name##_registration(#name, name); \
  static void name()
#define CHECK(condition) \
  multihead::test::check((condition), "CHECK(" #condition ")", __FILE__, __LINE__)
#define CHECK_MESSAGE(condition, message) \
  multihead::test::check((condition), (message), __FILE__, __LINE__)
#define CHECK_THROWS(expression, code, message) \
  multihead::test::check_throws([&] { (void)(expression); }, (code), (message), __FILE__, __LINE__)
