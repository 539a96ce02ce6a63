// SPDX-License-Identifier: Apache-2.0

#include <string>

#include "client/datumctl_flags.h"

namespace client {

void AddEndpointVerbs(CLI::App* app, Arguments* arguments) {
  CLI::App* endpoint = app->add_subcommand("endpoint", "What the endpoints say of themselves");
  endpoint->require_subcommand(1);
  endpoint->fallthrough();
  const auto add = [arguments](CLI::App* parent, const std::string& name, const std::string& help,
                               Verb verb) {
    CLI::App* added = parent->add_subcommand(name, help);
    added->fallthrough();
    added->add_flag("--cluster", arguments->whole_cluster,
                    "all members of the member list instead of --endpoints");
    Becomes(added, verb, arguments);
    return added;
  };
  endpoint->add_flag("--cluster", arguments->whole_cluster,
                     "all members of the member list instead of --endpoints");
  add(endpoint, "status", "Version, size, leader, term and index of each endpoint",
      Verb::kEndpointStatus);
  add(endpoint, "health", "Reads through each endpoint; fails if one does not answer",
      Verb::kEndpointHealth);
  add(app, "status", "The same as endpoint status", Verb::kEndpointStatus);
  add(endpoint, "hashkv", "A hash of each endpoint's history, to compare members",
      Verb::kEndpointHashKv)
      ->add_option("--rev", arguments->hash_revision, "up to this revision; 0: all of it")
      ->capture_default_str();
}

namespace {

void AddMemberChanges(CLI::App* parent, MemberArguments* member, Arguments* arguments) {
  const auto add = [&](const std::string& name, const std::string& help, Verb verb) {
    CLI::App* added = parent->add_subcommand(name, help);
    added->fallthrough();
    Becomes(added, verb, arguments);
    if (verb != Verb::kMemberAdd) {
      added->add_option("id", member->id, "the member, in hexadecimal")->required();
    }
    if (verb == Verb::kMemberAdd || verb == Verb::kMemberUpdate) {
      added->add_option("--peer-urls", member->peer_urls, "where it is reached, comma-separated")
          ->delimiter(',')
          ->allow_extra_args(false)
          ->required();
    }
    return added;
  };
  CLI::App* adds = add("add", "Adds a member, which is started afterwards", Verb::kMemberAdd);
  adds->add_option("name", member->name, "its --name")->required();
  adds->add_flag("--learner", member->is_learner, "it does not vote until it is promoted");
  add("remove", "Removes a member for good", Verb::kMemberRemove);
  add("update", "Tells where a member is reached from now on", Verb::kMemberUpdate);
  add("promote", "A learner votes from now on", Verb::kMemberPromote);
}

}  // namespace

void AddMemberVerbs(CLI::App* app, Arguments* arguments) {
  CLI::App* member = app->add_subcommand("member", "The members of the cluster");
  member->require_subcommand(1);
  member->fallthrough();
  const auto add = [arguments](CLI::App* parent, const std::string& name, const std::string& help) {
    CLI::App* added = parent->add_subcommand(name, help);
    added->fallthrough();
    added
        ->add_option("--consistency", arguments->member_consistency,
                     "l: linearizable, s: serializable")
        ->capture_default_str();
    Becomes(added, Verb::kMemberList, arguments);
  };
  add(member, "list", "All members");
  add(app, "members", "The same as member list");
  AddMemberChanges(member, &arguments->member, arguments);
  CLI::App* move = app->add_subcommand("move-leader", "The leader hands over to another member");
  move->fallthrough();
  move->add_option("id", arguments->member.id, "who is to lead, in hexadecimal")->required();
  Becomes(move, Verb::kMoveLeader, arguments);
}

void AddMaintenanceVerbs(CLI::App* app, Arguments* arguments) {
  CLI::App* defrag = AddVerb(app, "defrag", "Frees what deleted data left behind, on each endpoint",
                             Verb::kDefrag, arguments);
  defrag->add_flag("--cluster", arguments->whole_cluster,
                   "all members of the member list instead of --endpoints");
  CLI::App* alarm = AddGroup(app, "alarm", "What members have raised");
  AddVerb(alarm, "list", "The alarms that are on", Verb::kAlarmList, arguments);
  AddVerb(alarm, "disarm", "Ends all alarms", Verb::kAlarmDisarm, arguments);

  CLI::App* check = AddGroup(app, "check", "Whether the cluster does well");
  CLI::App* perf = AddVerb(check, "perf", "Writes for a minute at a given rate, and judges",
                           Verb::kCheckPerf, arguments);
  CheckArguments* wanted = &arguments->check;
  perf->add_option("--load", wanted->load, "s, m, l or xl: 150, 1000, 8000 or 15000 writes/s")
      ->check(CLI::IsMember({"s", "small", "m", "medium", "l", "large", "xl", "xLarge"}))
      ->capture_default_str();
  perf->add_option("--prefix", wanted->prefix, "of the keys, which are deleted at the end")
      ->capture_default_str();
  AddDuration(perf, "--duration", &wanted->duration, "how long to write");
  perf->add_flag("--auto-compact", wanted->auto_compact, "compact at the end");
  perf->add_flag("--auto-defrag", wanted->auto_defrag, "defragment at the end");
}

void AddSnapshotVerbs(CLI::App* app, Arguments* arguments) {
  SnapshotArguments* snapshot = &arguments->snapshot;
  CLI::App* group = AddGroup(app, "snapshot", "Backups: files that etcd's tools read, too");
  CLI::App* save = AddVerb(group, "save", "Writes the state of one endpoint to a file",
                           Verb::kSnapshotSave, arguments);
  save->add_option("file", snapshot->file, "the file, which appears when it is complete")
      ->required();
  CLI::App* status = AddVerb(group, "status", "What a file holds; its hash is checked",
                             Verb::kSnapshotStatus, arguments);
  status->add_option("file", snapshot->file, "the file")->required();

  CLI::App* restore =
      AddVerb(group, "restore", "Makes the data directory of a member of a new cluster",
              Verb::kSnapshotRestore, arguments);
  restore->add_option("file", snapshot->file, "a snapshot, etcd's or ours")->required();
  restore->add_option("--data-dir", snapshot->data_dir, "what to make (default: NAME.datum)");
  restore->add_option("--name", snapshot->name, "the member's --name")->capture_default_str();
  restore->add_option("--initial-cluster", snapshot->initial_cluster,
                      "all members, as in the server's flag (default: NAME with its peer URL)");
  restore
      ->add_option("--initial-cluster-token", snapshot->initial_cluster_token,
                   "the same for all members; another one for each cluster")
      ->capture_default_str();
  restore
      ->add_option("--initial-advertise-peer-urls", snapshot->peer_urls,
                   "this member's own, comma-separated")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->default_str("http://localhost:2380");
  restore->add_flag("--skip-hash-check", snapshot->skip_hash_check,
                    "for a file that was copied from a data directory");
  restore
      ->add_option("--bump-revision", snapshot->bump_revision,
                   "raise the revision by so much, above all that clients have seen")
      ->capture_default_str();
  restore->add_flag("--mark-compacted", snapshot->mark_compacted,
                    "count all of the past as compacted, so that watchers notice");
  restore->add_flag("--accept-auth-off", snapshot->accept_auth_off,
                    "restore a cluster with authentication into one that has none yet");
  restore->footer(
      "Run it once for each member, with the same file, cluster and token; then start\n"
      "all of them with the flags given here.");
}

}  // namespace client
