// SPDX-License-Identifier: Apache-2.0
//
// A process that writes to RocksDB and ends by _exit at a point that its parent does not know:
// RocksDB must stand at one of the batches, whole in all families, and not before the last flush.
//
// Its own binary: RocksDB's threads do not survive a fork, so this process must have none.

#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>

#include "base/random.h"
#include "gtest/gtest.h"
#include "store/memory_engine.h"
#include "tests/unit/store/engine_history.h"

namespace store {
namespace {

// Writes batches and tells its parent of each flush, until it is gone. Never returns.
[[noreturn]] void WriteUntilKilled(const std::string& directory, uint64_t seed, int told_fd,
                                   uint64_t lives) {
  auto engine = OpenRocks(directory);
  base::Random random(seed + lives);
  const uint64_t last = LastBatch(*engine) + 20 + random.Below(300);
  for (uint64_t number = LastBatch(*engine) + 1; number <= last; ++number) {
    const Batch batch = MakeBatch(seed, number);
    engine->Write(batch.operations);
    if (random.Chance(0.02)) {
      engine->Flush();
      if (write(told_fd, &number, sizeof number) != sizeof number) _exit(2);
    }
  }
  _exit(0);
}

TEST(EngineKillTest, AKilledProcessLeavesAWholeBatch) {
  constexpr uint64_t kSeed = 77;
  const std::string directory = TestDirectory("killed");
  for (uint64_t life = 0; life < 8; ++life) {
    int told[2];
    ASSERT_EQ(pipe(told), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) WriteUntilKilled(directory, kSeed, told[1], life);
    close(told[1]);
    uint64_t flushed = 0;
    for (uint64_t number = 0; read(told[0], &number, sizeof number) == sizeof number;) {
      flushed = number;
    }
    close(told[0]);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);

    const pid_t checker = fork();
    ASSERT_GE(checker, 0);
    if (checker == 0) {
      auto rocks = OpenRocks(directory);
      const uint64_t stands_at = LastBatch(*rocks);
      MemoryEngine memory(std::make_shared<MemoryDisk>());
      for (uint64_t number = 1; number <= stands_at; ++number) {
        memory.Write(MakeBatch(kSeed, number).operations);
      }
      ExpectSame(*rocks, memory, {});
      EXPECT_GE(stands_at, flushed);
      EXPECT_EQ(PersistedBatch(*rocks), stands_at);
      const bool failed = ::testing::Test::HasFailure();
      rocks.reset();
      _exit(failed ? 1 : 0);
    }
    ASSERT_EQ(waitpid(checker, &status, 0), checker);
    ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "life " << life;
  }
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace store
