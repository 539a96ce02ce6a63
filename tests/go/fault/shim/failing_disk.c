// SPDX-License-Identifier: Apache-2.0
//
// LD_PRELOADed into a server: lets its disk fail on demand. DISK_ORDERS names a file; as long as
// it is not there, every call goes through. Its content is one word:
//   sync-error   fsync and fdatasync of files below .../log/ fail with EIO
//   write-error  pwrite to files below .../log/ fails with EIO
//   sync-lies    every fsync and fdatasync says that it is done, and does nothing

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int ordered(const char* what) {
  const char* path = getenv("DISK_ORDERS");
  if (path == NULL) return 0;
  int orders = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
  if (orders < 0) return 0;
  char word[32] = {0};
  ssize_t length = read(orders, word, sizeof word - 1);
  close(orders);
  return length > 0 && strncmp(word, what, strlen(what)) == 0;
}

static int is_of_the_log(int file) {
  char link[64], path[4096] = {0};
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  if (readlink(link, path, sizeof path - 1) < 0) return 0;
  return strstr(path, "/log/") != NULL;
}

static int fails(int file) {
  int saved = errno;
  int yes = ordered("sync-error") && is_of_the_log(file);
  errno = saved;
  return yes;
}

int fdatasync(int file) {
  if (fails(file)) {
    errno = EIO;
    return -1;
  }
  if (ordered("sync-lies")) return 0;
  return (int)syscall(SYS_fdatasync, file);
}

int fsync(int file) {
  if (fails(file)) {
    errno = EIO;
    return -1;
  }
  if (ordered("sync-lies")) return 0;
  return (int)syscall(SYS_fsync, file);
}

ssize_t pwrite(int file, const void* bytes, size_t length, off_t offset) {
  if (ordered("write-error") && is_of_the_log(file)) {
    errno = EIO;
    return -1;
  }
  return syscall(SYS_pwrite64, file, bytes, length, offset);
}

ssize_t pwrite64(int file, const void* bytes, size_t length, off_t offset) {
  return pwrite(file, bytes, length, offset);
}
