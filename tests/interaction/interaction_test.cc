// SPDX-License-Identifier: Apache-2.0
//
// Runs every script of testdata/ and compares what the cores do with what the file says.
//
//   # prose
//   command
//   ----
//   what it caused
//
// `interaction_test --rewrite DIR` writes the files anew. Only commit a changed transcript if you
// understand what changed it.

#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/interaction/interaction.h"

namespace interaction {
namespace {

std::string rewrite_directory;

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

// The file as it would read if the cores do what they do now.
std::string Replay(const std::string& script) {
  Interaction interaction;
  std::istringstream in(script);
  std::ostringstream out;
  std::string line;
  std::vector<std::string> commands;
  const auto run = [&] {
    if (commands.empty()) return;
    for (const std::string& command : commands) out << command << "\n";
    out << "----\n";
    for (const std::string& command : commands) out << interaction.Run(command);
    out << "\n";
    commands.clear();
  };
  bool in_output = false;
  while (std::getline(in, line)) {
    if (line.empty()) {
      run();
      in_output = false;
    } else if (line == "----") {
      in_output = true;
    } else if (!in_output && line[0] == '#') {
      out << line << "\n";
    } else if (!in_output) {
      commands.push_back(line);
    }
  }
  run();
  return out.str();
}

std::vector<std::filesystem::path> Scripts(const std::string& directory) {
  std::vector<std::filesystem::path> paths;
  for (const auto& file : std::filesystem::directory_iterator(directory)) {
    if (file.path().extension() == ".txt") paths.push_back(file.path());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

TEST(Interaction, EveryTranscriptIsAsWritten) {
  const std::vector<std::filesystem::path> scripts = Scripts("tests/interaction/testdata");
  ASSERT_GE(scripts.size(), 10u);
  for (const std::filesystem::path& path : scripts) {
    const std::string script = ReadFile(path);
    EXPECT_EQ(script, Replay(script)) << path << ": rewrite with tools/dev test --rewrite-golden";
  }
}

}  // namespace
}  // namespace interaction

int main(int argc, char** argv) {
  if (argc == 3 && std::string(argv[1]) == "--rewrite") {
    for (const auto& path : interaction::Scripts(argv[2])) {
      const std::string text = interaction::Replay(interaction::ReadFile(path));
      std::ofstream(path) << text;
      std::cout << "wrote " << path << std::endl;
    }
    return 0;
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
