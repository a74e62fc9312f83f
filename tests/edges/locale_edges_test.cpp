// SPDX-License-Identifier: Apache-2.0
// A program's locale is for its users. What is a name, and what the kernel says in numbers, is the same in all of them.
#include <clocale>
#include <cstdlib>

#include "child_status.hpp"
#include "pipelines.hpp"
#include "processes.hpp"
#include "support/clear_away.hpp"
#include "support/foreign_locale.hpp"

namespace sluice::test {
namespace {

using testing::HasSubstr;

TEST(Locale, OfAProgramDoesNotHideHowMuchMemoryThereIs) {
  const ForeignNumbers french;
  Settings settings = test_settings();
  settings.set("state.bytes", "1TiB");
  EXPECT_THAT(error_of([&settings] {
                Pipeline pipeline{"large"};
                pipeline.inlet<Item>("in").to<Echo>("echo").outlet("out");
                Engine engine{pipeline, settings};
                engine.start();
              }),
              HasSubstr("of memory are available"));
}

// In a child, whose locale is one in which the byte E4 is a small letter; 77 where it cannot be had.
int names_in_latin_1(const std::string& directory) {
  constexpr int kNone = 77;
  const std::string make = "localedef -i de_DE -f ISO-8859-1 '" + directory + "/latin' 2> /dev/null";
  if (std::system(make.c_str()) != 0) return kNone;
  ::setenv("LOCPATH", directory.c_str(), 1);
  if (std::setlocale(LC_ALL, "latin") == nullptr || std::islower(0xE4) == 0) return kNone;
  const auto is_refused = [](const char* name) {
    return !error_of([name] {
              Pipeline pipeline{"names"};
              pipeline.inlet<Item>(name);
            }).empty();
  };
  return is_refused("\xE4") && is_refused("gr\xF6\xDF\x65") && !is_refused("plain-0") ? 0 : 1;
}

TEST(Locale, OfAProgramMakesNoLettersOfNames) {
  std::string directory = testing::TempDir() + "sluice_locale_XXXXXX";
  ASSERT_NE(::mkdtemp(directory.data()), nullptr);
  const int status = status_in_child([&] { return names_in_latin_1(directory); });
  clear_away(directory);
  if (status == 77) GTEST_SKIP() << "localedef makes no locale here";
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace sluice::test
