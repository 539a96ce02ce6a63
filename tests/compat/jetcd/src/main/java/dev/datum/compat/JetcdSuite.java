// SPDX-License-Identifier: Apache-2.0
package dev.datum.compat;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.etcd.jetcd.ByteSequence;
import io.etcd.jetcd.Client;
import io.etcd.jetcd.KV;
import io.etcd.jetcd.KeyValue;
import io.etcd.jetcd.cluster.Member;
import io.etcd.jetcd.kv.DeleteResponse;
import io.etcd.jetcd.kv.GetResponse;
import io.etcd.jetcd.kv.PutResponse;
import io.etcd.jetcd.kv.TxnResponse;
import io.etcd.jetcd.maintenance.StatusResponse;
import io.etcd.jetcd.op.Cmp;
import io.etcd.jetcd.op.CmpTarget;
import io.etcd.jetcd.op.Op;
import io.etcd.jetcd.options.CompactOption;
import io.etcd.jetcd.options.DeleteOption;
import io.etcd.jetcd.options.GetOption;
import io.etcd.jetcd.options.PutOption;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;

/** Uses every member of a cluster through jetcd; exits with 1 at the first wrong answer. */
public final class JetcdSuite {
  private final Client client;
  private final KV kv;
  private final String prefix;
  private final String url;
  private int checks = 0;

  private JetcdSuite(String url, String prefix) {
    this.url = url;
    this.prefix = prefix;
    this.client = Client.builder().endpoints(url).build();
    this.kv = client.getKVClient();
  }

  public static void main(String[] arguments) throws Exception {
    String endpoints = System.getenv("ENDPOINTS");
    if (endpoints == null || endpoints.isEmpty()) {
      System.err.println("ENDPOINTS is not set: host:port of the members, with commas");
      System.exit(2);
    }
    String[] all = endpoints.split(",");
    for (String endpoint : all) {
      JetcdSuite suite = new JetcdSuite("http://" + endpoint, "jetcd/" + endpoint + "/");
      try {
        suite.putAndGet();
        suite.ranges();
        suite.delete();
        suite.txn();
        suite.compaction();
        suite.statusAndMembers(all.length);
      } finally {
        suite.client.close();
      }
      System.out.println(endpoint + ": " + suite.checks + " checks passed");
    }
    // jetcd leaves threads behind that would keep the process for a minute.
    System.exit(0);
  }

  private void putAndGet() throws Exception {
    PutResponse first = await(kv.put(key("a"), bytes("1")));
    PutResponse second =
        await(kv.put(key("a"), bytes("2"), PutOption.builder().withPrevKV().build()));
    equal("previous value", second.getPrevKv().getValue(), bytes("1"));
    equal("revision", revision(second), revision(first) + 1);
    KeyValue datum = await(kv.get(key("a"))).getKvs().get(0);
    equal("value", datum.getValue(), bytes("2"));
    equal("version", datum.getVersion(), 2L);
    GetOption past = GetOption.builder().withRevision(revision(first)).build();
    equal("past", await(kv.get(key("a"), past)).getKvs().get(0).getValue(), bytes("1"));
    GetOption local = GetOption.builder().withSerializable(true).build();
    equal("local", await(kv.get(key("a"), local)).getKvs().get(0).getValue(), bytes("2"));
    fails("key is not provided", kv.put(ByteSequence.EMPTY, bytes("x")));
    fails("future revision", kv.get(key("a"), GetOption.builder().withRevision(1L << 40).build()));
  }

  private void ranges() throws Exception {
    for (String name : List.of("r/b", "r/a", "r/c")) await(kv.put(key(name), bytes(name)));
    equal("prefix", keys(range().build()), "r/a r/b r/c");
    GetResponse page = await(kv.get(key("r/"), range().withLimit(2).build()));
    equal("limit", page.getKvs().size(), 2);
    equal("more", page.isMore(), true);
    equal("count", page.getCount(), 3L);
    equal("descending", keys(range().withSortField(GetOption.SortTarget.KEY)
        .withSortOrder(GetOption.SortOrder.DESCEND).build()), "r/c r/b r/a");
    equal("by creation", keys(range().withSortField(GetOption.SortTarget.CREATE)
        .withSortOrder(GetOption.SortOrder.ASCEND).build()), "r/b r/a r/c");
    GetResponse count = await(kv.get(key("r/"), range().withCountOnly(true).build()));
    equal("count only", count.getCount() + " " + count.getKvs().size(), "3 0");
    GetResponse keys = await(kv.get(key("r/"), range().withKeysOnly(true).build()));
    equal("keys only", keys.getKvs().get(0).getValue(), ByteSequence.EMPTY);
  }

  private void delete() throws Exception {
    await(kv.put(key("d"), bytes("x")));
    DeleteResponse deleted =
        await(kv.delete(key("d"), DeleteOption.builder().withPrevKV(true).build()));
    equal("deleted", deleted.getDeleted(), 1L);
    equal("previous value", deleted.getPrevKvs().get(0).getValue(), bytes("x"));
    equal("gone", await(kv.get(key("d"))).getKvs().size(), 0);
    DeleteOption all = DeleteOption.builder().isPrefix(true).build();
    equal("deleted range", await(kv.delete(key("r/"), all)).getDeleted(), 3L);
  }

  private void txn() throws Exception {
    Cmp isNew = new Cmp(key("t"), Cmp.Op.EQUAL, CmpTarget.createRevision(0));
    for (boolean expected : new boolean[] {true, false}) {
      TxnResponse response = await(kv.txn().If(isNew)
          .Then(Op.put(key("t"), bytes("then"), PutOption.DEFAULT),
              Op.get(key("t"), GetOption.DEFAULT))
          .Else(Op.get(key("t"), GetOption.DEFAULT))
          .commit());
      equal("succeeded", response.isSucceeded(), expected);
      equal("read in the txn", response.getGetResponses().get(0).getKvs().get(0).getValue(),
          bytes("then"));
    }
    Cmp same = new Cmp(key("t"), Cmp.Op.EQUAL, CmpTarget.value(bytes("then")));
    Op nested = Op.txn(new Cmp[] {same},
        new Op[] {Op.put(key("n"), bytes("yes"), PutOption.DEFAULT)}, new Op[] {});
    equal("nested", await(kv.txn().Then(nested).commit()).isSucceeded(), true);
    equal("nested write", await(kv.get(key("n"))).getKvs().get(0).getValue(), bytes("yes"));
  }

  private void compaction() throws Exception {
    long first = revision(await(kv.put(key("c"), bytes("1"))));
    long last = revision(await(kv.put(key("c"), bytes("2"))));
    await(kv.compact(last));
    fails("required revision has been compacted",
        kv.get(key("c"), GetOption.builder().withRevision(first).build()));
    fails("required revision has been compacted", kv.compact(last));
    fails("future revision", kv.compact(last + 100_000));
    long newest = revision(await(kv.put(key("c"), bytes("3"))));
    await(kv.compact(newest, CompactOption.builder().withCompactPhysical(true).build()));
    equal("the newest stays", await(kv.get(key("c"))).getKvs().get(0).getValue(), bytes("3"));
  }

  private void statusAndMembers(int size) throws Exception {
    StatusResponse status = await(client.getMaintenanceClient().statusMember(url));
    equal("version", status.getVersion().startsWith("3."), true);
    equal("has a leader", status.getLeader() != 0, true);
    List<Member> members = await(client.getClusterClient().listMember()).getMembers();
    equal("members", members.size(), size);
    equal("the leader is a member",
        members.stream().anyMatch(member -> member.getId() == status.getLeader()), true);
  }

  private GetOption.Builder range() {
    return GetOption.builder().isPrefix(true);
  }

  private String keys(GetOption option) throws Exception {
    return await(kv.get(key("r/"), option)).getKvs().stream()
        .map(datum -> datum.getKey().toString(UTF_8).substring(prefix.length()))
        .collect(Collectors.joining(" "));
  }

  private static long revision(PutResponse response) {
    return response.getHeader().getRevision();
  }

  private ByteSequence key(String name) {
    return bytes(prefix + name);
  }

  private static ByteSequence bytes(String text) {
    return ByteSequence.from(text, UTF_8);
  }

  private static <T> T await(CompletableFuture<T> future) throws Exception {
    return future.get(10, TimeUnit.SECONDS);
  }

  private void equal(String what, Object got, Object want) {
    checks++;
    if (!want.equals(got)) {
      throw new AssertionError(url + ": " + what + ": got " + got + ", want " + want);
    }
  }

  private void fails(String reason, CompletableFuture<?> future) throws Exception {
    checks++;
    try {
      Object answer = await(future);
      throw new AssertionError(url + ": no error '" + reason + "' but " + answer);
    } catch (ExecutionException error) {
      if (!String.valueOf(error.getMessage()).contains(reason)) throw error;
    }
  }
}
