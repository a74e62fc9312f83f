// SPDX-License-Identifier: Apache-2.0
// How the tidy test reads a source: what is code, and where functions begin and end.
#include "source_text.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::house {

static void PrintTo(const Function& function, std::ostream* out) {
  *out << function.head << " at " << function.line << ", " << function.lines << " lines";
}

namespace {

using testing::ElementsAre;
using testing::IsEmpty;

MATCHER_P3(FunctionIs, head, line, lines, "") {
  return arg.head == head && arg.line == static_cast<std::size_t>(line) &&
         arg.lines == static_cast<std::size_t>(lines);
}

TEST(Code, IsWhatRemainsOfALineWithoutItsComment) {
  EXPECT_EQ(code_of("a;  // b\nc; /* d\n e */ f;\n"), "a;      \nc;     \n      f;\n");
}

TEST(Code, HasNothingOfStringsAndCharacters) {
  EXPECT_EQ(code_of(R"(f("{ // \" }", '{', 50'000);)"), "f(           ,    , 50'000);");
}

TEST(Code, HasNothingOfRawStrings) {
  EXPECT_EQ(code_of("x = R\"a({\n}\")\")a\" + y;"), "x = R    \n        + y;");
}

TEST(Code, HasNothingOfPreprocessorLines) {
  EXPECT_EQ(code_of("#define A { \\\n  {\nb;\n"), "             \n   \nb;\n");
}

TEST(Functions, AreFoundInNamespacesAndClasses) {
  EXPECT_THAT(
      functions_of("namespace a {\n"
                   "int f(int x) {\n  if (x) {\n  }\n}\n"
                   "class B final : public C {\n public:\n  int g() const noexcept { return 0; }\n};\n"
                   "}  // namespace a\n"),
      ElementsAre(FunctionIs("int f(int x) {", 2, 4),
                  FunctionIs("int g() const noexcept { return 0; }", 8, 1)));
}

TEST(Functions, BeginWithTheirTemplateHeadAndTheirReturnType) {
  EXPECT_THAT(functions_of("template <class T = int>\nT\nf() {\n}\n"),
              ElementsAre(FunctionIs("template <class T = int>", 1, 4)));
}

TEST(Functions, WithMemberInitializersAreWhole) {
  EXPECT_THAT(functions_of("A::A(int x)\n    : a_{x},\n      b_{x} {\n  f();\n}\n"),
              ElementsAre(FunctionIs("A::A(int x)", 1, 5)));
}

TEST(Functions, AreNotTablesAndNotTypes) {
  EXPECT_THAT(
      functions_of("constexpr Row kTable[] = {\n  {f(1)},\n  {f(2)},\n};\nenum class E : int { a, b };\n"
                   "const auto kX = [](int x) {\n  return x;\n};\nint y{3};\n"),
      IsEmpty());
}

TEST(Functions, IncludeOperators) {
  EXPECT_THAT(functions_of("A& A::operator=(A&& other) {\n  return *this;\n}\n"),
              ElementsAre(FunctionIs("A& A::operator=(A&& other) {", 1, 3)));
}

TEST(Functions, BehindATypeBeginAfterIt) {
  EXPECT_THAT(functions_of("struct A {\n  int x = 0;\n} a;\n\nvoid f() {\n}\n"),
              ElementsAre(FunctionIs("void f() {", 5, 2)));
}

}  // namespace
}  // namespace sluice::house
