// SPDX-License-Identifier: Apache-2.0

#include <string>

#include "client/datumctl_flags.h"

namespace client {

void AddWatchFlags(CLI::App* app, WatchArguments* watch) {
  app->add_option_function<std::string>(
      "key",
      [watch](const std::string& key) {
        watch->key = key;
        watch->has_key = true;
      },
      "the key, or the first of a range (or ETCDCTL_WATCH_KEY)");
  app->add_option_function<std::string>(
      "range_end",
      [watch](const std::string& end) {
        watch->range_end = end;
        watch->has_range_end = true;
      },
      "the end of the range, not included (or ETCDCTL_WATCH_RANGE_END)");
  app->add_flag("--prefix", watch->prefix, "all keys that begin with the key");
  app->add_flag("--from-key", watch->from_key, "all keys from the key on");
  app->add_option("--rev", watch->revision, "from this revision on; 0: from now on")
      ->capture_default_str();
  app->add_flag("--prev-kv", watch->prev_kv, "print the datums as they were, too");
  app->add_flag("--progress-notify", watch->progress_notify,
                "be told now and then how far the watch has come");
  app->add_option("--exec", watch->exec, "a shell's line to run for each event");
}

void AddWatchVerb(CLI::App* app, Arguments* arguments) {
  CLI::App* watch = AddVerb(app, "watch", "Prints changes as they happen", Verb::kWatch, arguments);
  AddWatchFlags(watch, &arguments->watch);
  watch->add_flag("-i,--interactive", arguments->watch.interactive,
                  "read lines \"watch KEY ...\" and \"progress\" from stdin");
  watch->footer(
      "watch KEY -- COMMAND ... runs the command for each event, with ETCD_WATCH_REVISION,\n"
      "ETCD_WATCH_EVENT_TYPE, ETCD_WATCH_KEY and ETCD_WATCH_VALUE. Lost connections are made\n"
      "again; no event is missing and none comes twice.");
}

void AddLeaseVerbs(CLI::App* app, Arguments* arguments) {
  LeaseArguments* wanted = &arguments->lease;
  CLI::App* lease = AddGroup(app, "lease", "Keys that end with their owner");
  CLI::App* grant = AddVerb(lease, "grant", "Makes a lease", Verb::kLeaseGrant, arguments);
  grant->add_option("ttl", wanted->ttl_seconds, "its life in seconds")->required();
  const auto of_one = [&](const std::string& name, const std::string& help, Verb verb) {
    CLI::App* added = AddVerb(lease, name, help, verb, arguments);
    added->add_option("id", wanted->id, "the lease, in hexadecimal")->required();
    return added;
  };
  of_one("revoke", "Ends a lease and deletes its keys", Verb::kLeaseRevoke);
  of_one("timetolive", "How long a lease still lives", Verb::kLeaseTimeToLive)
      ->add_flag("--keys", wanted->keys, "its keys, too");
  of_one("keep-alive", "Renews a lease again and again, until it is gone", Verb::kLeaseKeepAlive)
      ->add_flag("--once", wanted->once, "only once");
  AddVerb(lease, "list", "All leases", Verb::kLeaseList, arguments);
}

void AddSessionVerbs(CLI::App* app, Arguments* arguments) {
  SessionArguments* session = &arguments->session;
  CLI::App* lock = AddVerb(app, "lock", "Holds a lock while a command runs, or until ctrl-C",
                           Verb::kLock, arguments);
  lock->add_option("name", session->name, "the lock")->required();
  lock->add_option("--ttl", session->ttl_seconds,
                   "seconds in which the lock is free should this program vanish")
      ->capture_default_str();
  lock->add_option("command", arguments->command, "what to run, its own flags behind a --");
  lock->footer(
      "lock NAME -- COMMAND ... gives the command ETCD_LOCK_KEY and ETCD_LOCK_REV, the key's "
      "create\n"
      "revision. Writes of the command are safe if they compare that the key exists, or if what\n"
      "they go to refuses smaller revisions: the lock may be lost while the command runs.");
  CLI::App* elect = AddVerb(app, "elect", "Stands in an election and leads until ctrl-C",
                            Verb::kElect, arguments);
  elect->add_option("name", session->name, "the election")->required();
  elect->add_option_function<std::string>(
      "value",
      [session](const std::string& value) {
        session->value = value;
        session->has_value = true;
      },
      "what the leader says");
  elect->add_flag("-l,--listen", session->listen, "only print who leads, and each change of it");
}

void AddMirrorVerb(CLI::App* app, Arguments* arguments) {
  MirrorArguments* mirror = &arguments->mirror;
  CLI::App* added = AddVerb(app, "make-mirror", "Copies keys to another cluster, and goes on",
                            Verb::kMakeMirror, arguments);
  added->add_option("destination", mirror->destination, "its endpoints, separated by commas")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->required();
  added->add_option("--prefix", mirror->prefix, "only keys that begin with it");
  added->add_option("--dest-prefix", mirror->dest_prefix, "what stands in its place there");
  added->add_flag("--no-dest-prefix", mirror->no_dest_prefix, "nothing stands in its place there");
  added
      ->add_option("--rev", mirror->revision,
                   "go on from this revision instead of copying all first")
      ->capture_default_str();
  added->add_option("--max-txn-ops", mirror->max_txn_ops, "at most so many changes in a step there")
      ->check(CLI::Range(1u, 10000u))
      ->capture_default_str();
}

}  // namespace client
